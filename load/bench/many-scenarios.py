#!/usr/bin/env python3
"""Prints a feature file of COUNT real REST scenarios (500 when left out): each browses, orders a mug, reads its order and cancels it.
The first one fills the shelf; nothing runs beside it."""
import sys

DELIVERY = """
  @isolated
  Scenario: mugs are delivered
    Given actor stock is grpc at inventory as staff
    When stock calls "Adjust"
      \"\"\"json
      {{ "sku": "MUG-BLUE", "delta": {count}, "reason": "delivery from the pottery", "idempotencyKey": "${{run}}" }}
      \"\"\"
    Then stock status == OK
"""

SCENARIO = """
  Scenario: customer {number} orders and thinks again
    Given actor buyer is rest at gateway as customer
    When buyer gets "/v1/products?limit=20"
    Then buyer status == 200 and json "$.items[0].sku" exists
    When buyer gets "/v1/products/MUG-BLUE"
    Then buyer status == 200 and json "$.currency" == EUR
    When buyer posts "/v1/orders" with key "${{run}}-{number}"
      \"\"\"json
      {{ "items": [ {{ "sku": "MUG-BLUE", "quantity": 1 }} ] }}
      \"\"\"
    Then buyer status == 201 and json "$.state" == RESERVED
    And save order from buyer json "$.orderId"
    When buyer gets "/v1/orders/${{order}}"
    Then buyer status == 200 and json "$.orderId" == ${{order}}
    When buyer posts "/v1/orders/${{order}}/cancel"
    Then buyer status == 200 and json "$.state" == CANCELLED"""


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    print("@bench\nFeature: Many customers" + DELIVERY.format(count=count) + "".join(SCENARIO.format(number=number) + "\n" for number in range(2, count + 1)), end="")


main()
