# What a client of live updates may rely on, beyond the storyline: who is refused, what a cursor means, how a break is made good.
@live
Feature: Live updates
  The same messages under the same sequence come over the WebSocket and the event stream, so a client may leave one and
  go on with the other.

  Background: an order of a new customer
    Given actor clerk is rest at gateway as staff
    And actor stock is grpc at inventory as staff keyed by "$.level.sku"
    And actor buyer is rest at gateway as new customer
    And actor screen is websocket at gateway path "/v1/live" as new customer
    And actor page is sse at gateway path "/v1/stream" as new customer
    When clerk posts "/v1/products"
      """json
      { "sku": "CUP-${run}", "name": "Cup ${run}", "priceMinor": 900, "currency": "EUR", "tags": ["cup"] }
      """
    And stock calls "Adjust"
      """json
      { "sku": "CUP-${run}", "delta": 5, "reason": "delivery from the pottery", "idempotencyKey": "fixture-${run}" }
      """
    And stock watches
      """json
      { "sku": ["CUP-${run}"] }
      """
    Then stock json "$.cause" == SNAPSHOT and json "$.level.available" == 5
    When buyer posts "/v1/orders" with key "${run}-live"
      """json
      { "items": [ { "sku": "CUP-${run}", "quantity": 2 } ] }
      """
    Then buyer status == 201
    And save order from buyer json "$.orderId"
    And within 5s screen receives in order json "$.data.state" for key ${order}
      | PENDING | RESERVED |

  Scenario: socket and stream carry the same, and the stock stream shows its cause
    Then within 5s page receives in order json "$.data.state" for key ${order}
      | PENDING | RESERVED |
    And page sequence == 2 and id == 2 and event == message
    And within 5s stock receives json "$.cause" == RESERVE and json "$.delta" == -2 for key "CUP-${run}"
    When buyer posts "/v1/orders/${order}/cancel"
    Then buyer status == 200
    And within 5s screen receives "ecommerce.order.cancelled.v1" for key ${order} sequence == 3
    And within 5s page receives "ecommerce.order.cancelled.v1" for key ${order} sequence == 3
    And within 5s stock receives json "$.cause" == RELEASE and json "$.orderId" == ${order}

  Scenario: both resume after the last message that they saw
    When screen is cut
    And page is cut
    And buyer posts "/v1/orders/${order}/cancel"
    Then buyer status == 200
    When screen reopens
    And page reconnects
    Then within 5s screen receives sequence == 3
    And within 5s page receives sequence == 3
    And within 500ms screen receives exactly 3

  Scenario: a cursor of 0 gives all that is kept, one that was never given out a reset
    Given actor late is sse at notification path "/v1/stream" as new customer after 0
    Then within 5s late receives in order sequence
      | 1 | 2 |
    When late closes
    And late resumes from 999
    Then within 5s late receives type == reset and json "$.data.orders[0].orderId" == ${order}

  Scenario: who is nobody, or talks, is refused
    Given actor stranger is websocket at gateway path "/v1/live" idle
    When stranger tries to open
    Then stranger status == 401
    When page closes
    And page tries to open as nobody
    Then page status == 401 and json "$.code" == unauthorized
    When screen sends "hello"
    Then within 5s screen receives type == close and status == 1003
