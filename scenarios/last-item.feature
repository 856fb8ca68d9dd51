# Two buyers want the last mug at the same moment. The scenarios of this file meet at barriers, so they run at the same
# time whatever --jobs says: the shop fills its shelf, both buyers order at once, and then everyone counts.
@race
Feature: The last item
  Whoever comes first gets the mug, and the other one is told that it is sold out. Nobody knows who that will be, but
  stock is never sold twice and never negative.

  Scenario: the shop has one mug and sells it once
    Given actor clerk is rest at gateway as staff
    And actor stock is grpc at inventory as staff
    And actor winners is kafka topic "ecommerce.orders"
    And actor losers is kafka topic "ecommerce.orders"
    And actor movements is kafka topic "ecommerce.stock"
    When clerk posts "/v1/products"
      """json
      { "sku": "LAST-${run.id}", "name": "The last mug ${run.id}", "priceMinor": 1250, "currency": "EUR", "tags": ["mug"] }
      """
    Then clerk status == 201
    When stock calls "Adjust"
      """json
      { "sku": "LAST-${run.id}", "delta": 1, "reason": "found in the attic", "idempotencyKey": "fixture-${run}" }
      """
    Then stock json "$.level.available" == 1
    And barrier "the mug is on the shelf"
    And barrier "both have an answer"
    And within 5s winners receives "ecommerce.order.reserved.v1" with json "$.payload.items[0].sku" == "LAST-${run.id}"
    And within 5s losers receives "ecommerce.order.rejected.v1" with json "$.payload.items[0].sku" == "LAST-${run.id}"
    And within 500ms winners receives exactly 1 "ecommerce.order.reserved.v1" with json "$.payload.items[0].sku" == "LAST-${run.id}"
    And within 1ms losers receives exactly 1 "ecommerce.order.rejected.v1" with json "$.payload.items[0].sku" == "LAST-${run.id}"
    And within 1ms movements receives exactly 1 "ecommerce.stock.reserved.v1" with json "$.payload.lines[0].sku" == "LAST-${run.id}"
    When stock calls "GetLevels"
      """json
      { "sku": ["LAST-${run.id}"] }
      """
    Then stock json "$.levels[0].onHand" == 1 and json "$.levels[0].reserved" == 1 and json "$.levels[0].available" == 0

  Scenario Outline: <buyer> wants it
    Given actor <buyer> is rest at gateway as new customer
    And barrier "the mug is on the shelf"
    When <buyer> posts "/v1/orders" with key "${run}-last"
      """json
      { "items": [ { "sku": "LAST-${run.id}", "quantity": 1 } ] }
      """
    Then <buyer> status matches "^(201|409)$"
    And save order from <buyer> json "$.orderId"
    And barrier "both have an answer"
    When <buyer> gets "/v1/orders/${order}"
    Then <buyer> status == 200 and json "$.state" matches "^(RESERVED|REJECTED)$"

    Examples:
      | buyer |
      | ada   |
      | grace |
