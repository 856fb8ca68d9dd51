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
      """# What a client of live updates may rely on, beyond the storyline: who is refused, what a cursor means, how a break is made good.
@live
Feature: Live updates
  The same messages under the same sequence come over the WebSocket and the event stream, so a client may leave one and
  go on with the other.

  Background: an order of a new customer
    Given actor clerk is rest at gateway as staff
    And actor stock is grpc at inventory as staff keyed by "$.orderlevel.sku"
    And actor buyer is rest at gateway as new customer
    And actor screen is websocket at gateway path "/v1/live" as new customer
    And actjor p