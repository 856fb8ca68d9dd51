# What becomes of webhooks when a partner's endpoint does what no endpoint should. The waits are short, so that the story is: three tries,
# 60 and 120 ms apart, of a second each.
@webhooks @isolated @setting:notification.BV_WEBHOOK_BACKOFF_BASE=60ms @setting:notification.BV_WEBHOOK_ATTEMPTS=3 @setting:notification.BV_WEBHOOK_TIMEOUT=1s
Feature: Webhooks and partners in trouble
  A delivery that was not accepted is tried again, with the same id and signed anew; after the last try it has failed, and what comes after it
  goes on. What one partner does holds up no other.

  Background: two partners want to know of new orders
    Given actor clerk is rest at gateway as staff
    And actor stock is grpc at inventory as staff
    And actor buyer is rest at gateway as new customer
    And actor erp is rest at gateway as partner
    And actor partner is webhook listening at "/hook"
    And actor other is webhook listening at "/other"
    When clerk posts "/v1/products"
      """json
      { "sku": "CUP-${run}", "name": "Cup ${run}", "priceMinor": 900, "currency": "EUR" }
      """
    Then clerk status == 201
    When stock calls "Adjust"
      """json
      { "sku": "CUP-${run}", "delta": 10, "reason": "delivery from the pottery", "idempotencyKey": "fixture-${run}" }
      """
    Then stock status == OK
    When erp posts "/v1/webhooks"
      """json
      { "url": "${partner.url}", "eventTypes": ["ecommerce.order.created.v1", "ecommerce.order.reserved.v1"] }
      """
    Then erp status == 201
    And save hook from erp json "$.id"
    And save secret from erp json "$.secret"
    When partner secret ${secret}
    And erp posts "/v1/webhooks"
      """json
      { "url": "${other.url}", "eventTypes": ["ecommerce.order.created.v1", "ecommerce.order.reserved.v1"] }
      """
    Then erp status == 201
    And save secret from erp json "$.secret"
    When other secret ${secret}

  Scenario Outline: <turn> is tried again, the same, and nobody else notices
    When partner misbehaves
      | <turn> |
    And buyer posts "/v1/orders" with key "${run}-order"
      """json
      { "items": [ { "sku": "CUP-${run}", "quantity": 1 } ] }
      """
    Then buyer status == 201
    And save order from buyer json "$.orderId"
    And within 5s partner receives "ecommerce.order.created.v1" for key ${order} with summary contains "-> <turn>" and signed
    And save id from partner header "webhook-id"
    And within 5s other receives in order signed and status == 204 for key ${order}
      | ecommerce.order.created.v1 | ecommerce.order.reserved.v1 |
    And within 5s partner receives "ecommerce.order.created.v1" for key ${order} with status == 204 and signed
    And partner header "webhook-id" == ${id} and header "traceparent" contains ${trace}
    And within 5s partner receives "ecommerce.order.reserved.v1" for key ${order} with status == 204 and signed
    And within 200ms partner receives exactly 2 "ecommerce.order.created.v1" for key ${order}
    And within 200ms other receives exactly 2 for key ${order}
    When erp gets "/v1/webhooks/${hook}/deliveries"
    Then erp json "$.items[?@.orderId == '${order}' && @.version == 1].state" contains DELIVERED
    And erp json "$.items[?@.orderId == '${order}' && @.version == 1].attempts[0].<member>" contains <says>
    And erp json "$.items[?@.orderId == '${order}' && @.version == 1].attempts[1].httpStatus" contains 204

    Examples: an answer that is no yes
      | turn | member     | says |
      | 500  | httpStatus | 500  |
      | 404  | httpStatus | 404  |
      | 429  | httpStatus | 429  |

    Examples: no answer, or none that holds
      | turn      | member | says                                               |
      | reset     | error  | "Recv failure: Connection reset by peer"           |
      | close     | error  | "Empty reply from server"                          |
      | half head | error  | "the connection ended within the answer's head"    |
      | half body | error  | "transfer closed with 992 bytes remaining to read" |
      | garbage   | error  | "Received HTTP/0.9 when not allowed"               |

    Examples: an answer without end is not waited for, and not read beyond its limit
      | turn            | member | says                                                                         |
      | silence         | error  | "no complete answer within the deadline"                                     |
      | drip            | error  | "no complete answer within the deadline"                                     |
      | endless body    | error  | "the answer does not fit its limits (status 200, 65536 bytes of body taken)" |
      | endless interim | error  | "the answer does not fit its limits (status 103, 0 bytes of body taken)"     |

  Scenario: a connection that is closed before anything was read is tried again on another one
    When partner misbehaves
      | unread |
    And buyer posts "/v1/orders" with key "${run}-order"
      """json
      { "items": [ { "sku": "CUP-${run}", "quantity": 1 } ] }
      """
    Then buyer status == 201
    And save order from buyer json "$.orderId"
    And within 5s partner receives in order signed and status == 204 for key ${order}
      | ecommerce.order.created.v1 | ecommerce.order.reserved.v1 |
    And within 200ms partner receives exactly 2 for key ${order}

  Scenario: more body than was announced is a yes all the same, and does not become the next answer
    When partner misbehaves
      | long body |
    And buyer posts "/v1/orders" with key "${run}-order"
      """json
      { "items": [ { "sku": "CUP-${run}", "quantity": 1 } ] }
      """
    Then buyer status == 201
    And save order from buyer json "$.orderId"
    And within 5s partner receives "ecommerce.order.created.v1" for key ${order} with summary contains "-> long body"
    And within 5s partner receives "ecommerce.order.reserved.v1" for key ${order} with status == 204
    And within 200ms partner receives exactly 2 for key ${order}

  Scenario Outline: a redirect with <status> is not followed, but tried again where it was
    When partner misbehaves
      | <status> to ${other.url} |
    And buyer posts "/v1/orders" with key "${run}-order"
      """json
      { "items": [ { "sku": "CUP-${run}", "quantity": 1 } ] }
      """
    Then buyer status == 201
    And save order from buyer json "$.orderId"
    And within 5s partner receives "ecommerce.order.created.v1" for key ${order} with status == <status>
    And within 5s partner receives in order status == 204 for key ${order}
      | ecommerce.order.created.v1 | ecommerce.order.reserved.v1 |
    And within 200ms other receives exactly 2 for key ${order}

    Examples:
      | status |
      | 301    |
      | 307    |

  Scenario: a partner that asks for time gets it
    When partner misbehaves
      | 429 retry-after 1 |
    And buyer posts "/v1/orders" with key "${run}-order"
      """json
      { "items": [ { "sku": "CUP-${run}", "quantity": 1 } ] }
      """
    Then buyer status == 201
    And save order from buyer json "$.orderId"
    And within 5s partner receives "ecommerce.order.created.v1" for key ${order} with status == 429
    And never within 700ms partner receives "ecommerce.order.created.v1" for key ${order}
    And within 5s partner receives in order status == 204 for key ${order}
      | ecommerce.order.created.v1 | ecommerce.order.reserved.v1 |

  Scenario: after the last try a delivery has failed, and the order's next one goes on
    When partner misbehaves
      | 500 | garbage | half body |
    And buyer posts "/v1/orders" with key "${run}-order"
      """json
      { "items": [ { "sku": "CUP-${run}", "quantity": 1 } ] }
      """
    Then buyer status == 201
    And save order from buyer json "$.orderId"
    And within 5s partner receives in order summary for key ${order}
      | ecommerce.order.created.v1 -> 500       |
      | ecommerce.order.created.v1 -> garbage   |
      | ecommerce.order.created.v1 -> half body |
      | ecommerce.order.reserved.v1 -> 204      |
    And within 5s erp gets "/v1/webhooks/${hook}/deliveries" until json "$.items[?@.orderId == '${order}' && @.version == 2].state" contains DELIVERED
    And erp json "$.items[?@.orderId == '${order}' && @.version == 1].state" contains FAILED
    And erp json "$.items[?@.orderId == '${order}' && length(@.attempts) == 3].version" contains 1

  Scenario: a silent partner keeps its own order waiting and nobody else
    When partner misbehaves
      | silence | silence | silence | silence | silence | silence |
    And buyer posts "/v1/orders" with key "${run}-order"
      """json
      { "items": [ { "sku": "CUP-${run}", "quantity": 1 } ] }
      """
    Then buyer status == 201
    And save order from buyer json "$.orderId"
    And within 5s partner receives "ecommerce.order.created.v1" for key ${order} with summary contains "-> silence"
    And within 5s other receives in order status == 204 for key ${order}
      | ecommerce.order.created.v1 | ecommerce.order.reserved.v1 |
    # The other has both, while the first of this partner's is not even decided.
    When erp gets "/v1/webhooks/${hook}/deliveries"
    Then erp json "$.items[?@.orderId == '${order}' && @.state == 'PENDING'].version" == "[2,1]"
    # Another order is not behind it: only the same order's transitions wait for each other.
    When buyer posts "/v1/orders" with key "${run}-next"
      """json
      { "items": [ { "sku": "CUP-${run}", "quantity": 1 } ] }
      """
    Then buyer status == 201
    And save next from buyer json "$.orderId"
    And within 5s other receives in order status == 204 for key ${next}
      | ecommerce.order.created.v1 | ecommerce.order.reserved.v1 |
    And within 9s partner receives "ecommerce.order.reserved.v1" for key ${next} with status == 204

  Scenario: a partner that is gone is not asked again
    When partner misbehaves
      | 410 |
    And buyer posts "/v1/orders" with key "${run}-order"
      """json
      { "items": [ { "sku": "CUP-${run}", "quantity": 1 } ] }
      """
    Then buyer status == 201
    And save order from buyer json "$.orderId"
    And within 5s partner receives "ecommerce.order.created.v1" for key ${order} with status == 410
    And within 5s other receives in order status == 204 for key ${order}
      | ecommerce.order.created.v1 | ecommerce.order.reserved.v1 |
    And within 5s erp gets "/v1/webhooks/${hook}" until status == 200 and json "$.disabledAt" != null
    # the order's next transition either found the subscription disabled or failed with it
    And within 5s erp gets "/v1/webhooks/${hook}/deliveries" until json "$.items[?@.orderId == '${order}'].state" contains FAILED
    And within 300ms partner receives exactly 1 for key ${order}
