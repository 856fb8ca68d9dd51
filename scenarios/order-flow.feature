# Steps 1 to 3 of the storyline. The words of the steps: bv scenario --steps
@story
Feature: The order flow
  A customer browses, orders and pays; every party learns of it once, in order, over its own protocol. Until there is
  a payment service, the actor "payments" says what the bank would say.

  Background: a mug, ten times in stock
    Given actor clerk is rest at gateway as staff
    And actor stock is grpc at inventory as staff
    And actor buyer is rest at gateway as new customer
    And actor ledger is kafka topic "ecommerce.orders"
    And actor payments is kafka topic "ecommerce.payments" producer "payment"
    When clerk posts "/v1/products"
      """json
      { "sku": "MUG-${run}", "name": "Mug ${run}", "priceMinor": 1250, "currency": "EUR", "tags": ["mug"] }
      """
    Then clerk status == 201
    When stock calls "Adjust"
      """json
      { "sku": "MUG-${run}", "delta": 10, "reason": "delivery from the pottery", "idempotencyKey": "fixture-${run}" }
      """
    Then stock status == OK and json "$.outcome" == ADJUSTED

  @step-1
  Scenario: a product is found by browsing
    Given actor visitor is rest at gateway
    When visitor gets "/v1/products?q=${run}&tag=mug"
    Then visitor status == 200 and json "$.items[0].sku" == "MUG-${run}" and json "$.nextCursor" == null
    When visitor gets "/v1/products/MUG-${run}"
    Then visitor status == 200 and json "$.priceMinor" == 1250 and json "$.currency" == EUR
    And save tag from visitor header "etag"
    When visitor gets "/v1/products/MUG-${run}" header "if-none-match" ${tag} expecting nothing
    Then visitor status == 304
    When visitor gets "/v1/products/NO-${run}"
    Then visitor status == 404 and header "content-type" == "application/problem+json" and json "$.code" == "not-found"

  @step-1
  Scenario: an order takes stock and is announced once
    Given actor movements is kafka topic "ecommerce.stock"
    When buyer posts "/v1/orders" with key "${run}-order"
      """json
      { "items": [ { "sku": "MUG-${run}", "quantity": 2 } ] }
      """
    Then buyer status == 201 and json "$.state" == RESERVED and json "$.totalMinor" == 2500
    And save order from buyer json "$.orderId"
    When stock calls "GetLevels"
      """json
      { "sku": ["MUG-${run}"] }
      """
    Then stock json "$.levels[0].onHand" == 10 and json "$.levels[0].reserved" == 2 and json "$.levels[0].available" == 8
    And within 5s ledger receives in order for key ${order}
      | ecommerce.order.created.v1 | ecommerce.order.reserved.v1 |
    And ledger json "$.producer" == order and json "$.traceId" == ${trace} and json "$.correlationId" == ${run}
    And ledger header "traceparent" contains ${trace} and header "correlation-id" == ${run}
    And within 5s movements receives "ecommerce.stock.reserved.v1" for key ${order} with json "$.payload.orderId" == ${order}
    When payments publishes "ecommerce.payment.authorized.v1" for key ${order}
      """json
      { "paymentId": "${uuid}", "orderId": "${order}", "amountMinor": 2500, "currency": "EUR", "authorizedAt": "${now}" }
      """
    Then within 5s ledger receives "ecommerce.order.paid.v1" for key ${order}
    And ledger header "traceparent" contains ${trace}
    When clerk posts "/v1/orders/${order}/confirm"
    Then clerk status == 200 and json "$.state" == CONFIRMED
    And within 5s ledger receives "ecommerce.order.confirmed.v1" for key ${order}
    And within 5s movements receives "ecommerce.stock.committed.v1" for key ${order}
    When buyer gets "/v1/orders/${order}"
    Then buyer status == 200 and json "$.state" == CONFIRMED
    And within 500ms ledger receives exactly 1 "ecommerce.order.created.v1" for key ${order}

  @step-1
  Scenario: the retry of an order is the same order
    When buyer posts "/v1/orders" with key "${run}-retry"
      """json
      { "items": [ { "sku": "MUG-${run}", "quantity": 3 } ] }
      """
    Then buyer status == 201
    And save order from buyer json "$.orderId"
    When buyer posts "/v1/orders" with key "${run}-retry"
      """json
      { "items": [ { "sku": "MUG-${run}", "quantity": 3 } ] }
      """
    Then buyer status == 201 and json "$.orderId" == ${order}
    When buyer posts "/v1/orders" with key "${run}-retry"
      """json
      { "items": [ { "sku": "MUG-${run}", "quantity": 4 } ] }
      """
    Then buyer status == 422 and json "$.code" == "idempotency-key-reused"
    When stock calls "GetLevels"
      """json
      { "sku": ["MUG-${run}"] }
      """
    Then stock json "$.levels[0].reserved" == 3
    And within 5s ledger receives in order for key ${order}
      | ecommerce.order.created.v1 | ecommerce.order.reserved.v1 |
    And never within 500ms ledger receives "ecommerce.order.created.v1" with json "$.correlationId" == ${run}
    When buyer gets "/v1/orders?limit=10"
    Then buyer json "$.items[0].orderId" == ${order} and json "$.nextCursor" == null

  @step-1
  Scenario: what is sold out is refused and nothing is reserved
    When buyer posts "/v1/orders" with key "${run}-greedy"
      """json
      { "items": [ { "sku": "MUG-${run}", "quantity": 11 } ] }
      """
    Then buyer status == 409 and json "$.code" == "sold-out" and json "$.lines[0].available" == 10
    And save order from buyer json "$.orderId"
    And within 5s ledger receives in order for key ${order}
      | ecommerce.order.created.v1 | ecommerce.order.rejected.v1 |
    When stock calls "GetLevels"
      """json
      { "sku": ["MUG-${run}"] }
      """
    Then stock json "$.levels[0].available" == 10
    When buyer gets "/v1/orders/${order}"
    Then buyer json "$.state" == REJECTED

  @step-1
  Scenario: what was said stands in the books
    Given actor books is postgres database "orders"
    And actor cache is redis
    When buyer posts "/v1/orders" with key "${run}-books"
      """json
      { "items": [ { "sku": "MUG-${run}", "quantity": 2 } ] }
      """
    Then buyer status == 201
    And save order from buyer json "$.orderId"
    And within 5s ledger receives "ecommerce.order.reserved.v1" for key ${order}
    When books queries "select state, version, total_minor, currency from orders where order_id = '${order}'"
    Then books rows == 1 and json "$[0].state" == RESERVED and json "$[0].total_minor" == 2500 and json "$[0].currency" == EUR
    When books queries "select line, sku, quantity from order_items where order_id = '${order}' order by line"
    Then books rows == 1 and json "$[0].sku" == "MUG-${run}" and json "$[0].quantity" == 2
    # What is paid for stands there when the order service has read the bank's word.
    When payments publishes "ecommerce.payment.authorized.v1" for key ${order}
      """json
      { "paymentId": "${uuid}", "orderId": "${order}", "amountMinor": 2500, "currency": "EUR", "authorizedAt": "${now}" }
      """
    Then within 5s books queries "select state, version from orders where order_id = '${order}'" until json "$[0].state" == PAID
    And books json "$[0].version" == 3
    And within 5s buyer gets "/v1/orders/${order}" until json "$.state" == PAID
    # What the catalogue caches goes whenever an event flushes it, so only its keys' shape is promised here.
    When cache asks "EXISTS catalogue:default:NEVER-${run}"
    Then cache json "$.reply" == 0

  @step-2
  Scenario: the open page shows each transition, once and in order
    Given actor screen is websocket at gateway path "/v1/live" as new customer
    When buyer posts "/v1/orders" with key "${run}-screen"
      """json
      { "items": [ { "sku": "MUG-${run}", "quantity": 1 } ] }
      """
    Then buyer status == 201
    And save order from buyer json "$.orderId"
    When payments publishes "ecommerce.payment.authorized.v1" for key ${order}
      """json
      { "paymentId": "${uuid}", "orderId": "${order}", "amountMinor": 1250, "currency": "EUR", "authorizedAt": "${now}" }
      """
    Then within 5s ledger receives "ecommerce.order.paid.v1" for key ${order}
    And within 5s screen receives "ecommerce.order.paid.v1" for key ${order}
    And screen json "$.traceparent" contains ${trace}
    # Kafka gives a record again whenever an acknowledgement is lost. What comes later on the same partition is behind it.
    When ledger repeats
    And clerk posts "/v1/orders/${order}/confirm"
    And clerk posts "/v1/orders/${order}/ship"
    And clerk posts "/v1/orders/${order}/deliver"
    Then within 5s screen receives in order json "$.data.state" for key ${order}
      | CONFIRMED | SHIPPED | DELIVERED |
    And screen sequence == 6
    And within 500ms screen receives exactly 6 for key ${order}
    # Whoever comes late asks from the beginning, and sees the same.
    When screen closes
    And screen opens after 0
    Then within 5s screen receives in order json "$.data.state" for key ${order}
      | PENDING | RESERVED | PAID | CONFIRMED | SHIPPED | DELIVERED |

  @step-2
  Scenario: the socket is cut mid-order and the event stream goes on without a gap
    Given actor screen is websocket at gateway path "/v1/live" as new customer
    And actor page is sse at gateway path "/v1/stream" as new customer idle
    When buyer posts "/v1/orders" with key "${run}-live"
      """json
      { "items": [ { "sku": "MUG-${run}", "quantity": 1 } ] }
      """
    Then buyer status == 201
    And save order from buyer json "$.orderId"
    And within 5s screen receives in order json "$.data.state" for key ${order}
      | PENDING | RESERVED |
    And screen json "$.traceparent" contains ${trace}
    And save seen from screen sequence
    When screen is cut
    And payments publishes "ecommerce.payment.authorized.v1" for key ${order}
      """json
      { "paymentId": "${uuid}", "orderId": "${order}", "amountMinor": 1250, "currency": "EUR", "authorizedAt": "${now}" }
      """
    Then within 5s ledger receives "ecommerce.order.paid.v1" for key ${order}
    When clerk posts "/v1/orders/${order}/confirm"
    Then clerk status == 200
    # The customer is new, so the sequence begins with 1: three and on are exactly what the socket missed.
    When page resumes from ${seen}
    Then within 5s page receives in order sequence
      | 3 | 4 |
    When clerk posts "/v1/orders/${order}/ship"
    And clerk posts "/v1/orders/${order}/deliver"
    Then within 5s page receives in order json "$.data.state" for key ${order}
      | SHIPPED | DELIVERED |
    And page sequence == 6
    And within 500ms page receives exactly 4

  @step-3 @isolated
  Scenario: a partner that fails twice still gets every transition, signed and in order
    Given actor partner is webhook listening at "/hook"
    And actor erp is rest at gateway as partner
    When erp posts "/v1/webhooks"
      """json
      {
        "url": "${partner.url}",
        "eventTypes": [
          "ecommerce.order.created.v1", "ecommerce.order.reserved.v1", "ecommerce.order.paid.v1",
          "ecommerce.order.confirmed.v1", "ecommerce.order.shipped.v1", "ecommerce.order.delivered.v1"
        ]
      }
      """
    Then erp status == 201
    And save hook from erp json "$.id"
    And save secret from erp json "$.secret"
    When partner secret ${secret}
    And partner fails 2 times with 503
    And buyer posts "/v1/orders" with key "${run}-partner"
      """json
      { "items": [ { "sku": "MUG-${run}", "quantity": 1 } ] }
      """
    Then buyer status == 201
    And save order from buyer json "$.orderId"
    When payments publishes "ecommerce.payment.authorized.v1" for key ${order}
      """json
      { "paymentId": "${uuid}", "orderId": "${order}", "amountMinor": 1250, "currency": "EUR", "authorizedAt": "${now}" }
      """
    Then within 5s ledger receives "ecommerce.order.paid.v1" for key ${order}
    When clerk posts "/v1/orders/${order}/confirm"
    And clerk posts "/v1/orders/${order}/ship"
    And clerk posts "/v1/orders/${order}/deliver"
    Then clerk status == 200
    And within 20s partner receives in order signed and status == 204 for key ${order}
      | ecommerce.order.created.v1   |
      | ecommerce.order.reserved.v1  |
      | ecommerce.order.paid.v1      |
      | ecommerce.order.confirmed.v1 |
      | ecommerce.order.shipped.v1   |
      | ecommerce.order.delivered.v1 |
    And partner header "traceparent" contains ${trace} and header "webhook-id" exists
    And within 500ms partner receives exactly 2 status == 503 for key ${order}
    And within 500ms partner receives exactly 6 status == 204 for key ${order}
    # The partner has it before the sender has written down that it does.
    And within 5s erp gets "/v1/webhooks/${hook}/deliveries" until status == 200 and json "$.items[0].state" == DELIVERED
    When erp deletes "/v1/webhooks/${hook}" expecting nothing
    Then erp status == 204
