# What a hostile or clumsy client may send, on every protocol. Each is refused in one shape: the right status, problem+json, a code to match on, where
# it is wrong and what to do; and afterwards a good order still works.
@hostile
Feature: Bad input
  Whoever sends rubbish learns why, and nobody else notices.

  Background: a good order works
    Given actor clerk is rest at gateway as staff
    And actor stock is grpc at inventory
    And actor buyer is rest at gateway as customer
    When clerk posts "/v1/products"
      """json
      { "sku": "JUG-${run}", "name": "Jug ${run}", "priceMinor": 700, "currency": "EUR" }
      """
    Then clerk status == 201
    When stock calls "Adjust"
      """json
      { "sku": "JUG-${run}", "delta": 10, "reason": "delivery from the pottery", "idempotencyKey": "fixture-${run}" }
      """
    Then stock status == OK

  Rule: REST

    Scenario Outline: <what> is no order
      When buyer posts "/v1/orders" with key "${run}-bad"
        """application/json
        <body>
        """
      Then buyer status == 400 and json "$.code" == "bad-request" and header "content-type" == "application/problem+json"
      And buyer json "$.detail" contains <says> and json "$.instance" == "/v1/orders" and json "$.traceId" == ${trace}
      When buyer posts "/v1/orders" with key "${run}-good"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 201

      Examples: text that is no JSON, or no object
        | what                  | body                                                                    | says                              |
        | half a body           | {"items":[                                                              | "byte 10: unexpected end"         |
        | JSON nested deep      | ${deep.5000}                                                            | "nested deeper than 64"           |
        | a member that is deep | {"items":${deep.1000}}                                                  | "nested deeper than 64"           |
        | a list                | [{"sku":"JUG-${run}","quantity":1}]                                     | "must be a JSON object"           |
        | a text                | "order"                                                                 | "must be a JSON object"           |
        | more than one value   | {"items":[{"sku":"JUG-${run}","quantity":1}]} {}                        | "unexpected content after"        |
        | a member twice        | {"items":[],"items":[{"sku":"JUG-${run}","quantity":1}]}                | "\"items\" appears twice"         |
        | no number             | {"items":[{"sku":"JUG-${run}","quantity":NaN}]}                         | "unexpected character"            |
        | half a character      | {"items":[{"sku":"\\ud800","quantity":1}]}                              | "surrogate"                       |
        | an infinite number    | {"items":[{"sku":"JUG-${run}","quantity":1e999}]}                       | "infinity"                        |
        | a comment             | {"items":[] /* none */}                                                 | "JSON at byte"                    |

    Scenario Outline: an order with <what> is not acceptable
      When buyer posts "/v1/orders" with key "${run}-bad"
        """json
        <body>
        """
      Then buyer status == 422 and json "$.code" == invalid and header "content-type" == "application/problem+json"
      And buyer json "$.errors[0].pointer" == <where> and json "$.errors[0].detail" contains <says>
      When buyer posts "/v1/orders" with key "${run}-bad"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 201

      Examples: the key of a refused order is free again
        | what                 | body                                                                                     | where               | says                 |
        | nothing in it        | {}                                                                                       | "/items"            | "missing"            |
        | no lines             | {"items":[]}                                                                             | "/items"            | "1 to 50"            |
        | null for lines       | {"items":null}                                                                           | "/items"            | "1 to 50"            |
        | a text for lines     | {"items":"JUG-${run}"}                                                                   | "/items"            | "1 to 50"            |
        | a line that is none  | {"items":[1]}                                                                            | "/items/0"          | "object"             |
        | a member too many    | {"items":[{"sku":"JUG-${run}","quantity":1}],"priceMinor":1}                             | "/priceMinor"       | "not a known member" |
        | a price in its line  | {"items":[{"sku":"JUG-${run}","quantity":1,"priceMinor":1}]}                             | "/items/0/priceMinor" | "not a known member" |
        | a quantity of text   | {"items":[{"sku":"JUG-${run}","quantity":"1"}]}                                          | "/items/0/quantity" | "integer"            |
        | half a piece         | {"items":[{"sku":"JUG-${run}","quantity":0.5}]}                                          | "/items/0/quantity" | "integer"            |
        | no piece             | {"items":[{"sku":"JUG-${run}","quantity":0}]}                                            | "/items/0/quantity" | "1 to 1000"          |
        | less than nothing    | {"items":[{"sku":"JUG-${run}","quantity":-3}]}                                           | "/items/0/quantity" | "1 to 1000"          |
        | more than a crate    | {"items":[{"sku":"JUG-${run}","quantity":1001}]}                                         | "/items/0/quantity" | "1 to 1000"          |
        | more than 64 bits    | {"items":[{"sku":"JUG-${run}","quantity":99999999999999999999}]}                         | "/items/0/quantity" | "integer"            |
        | a SKU in small print | {"items":[{"sku":"jug","quantity":1}]}                                                   | "/items/0/sku"      | "A-Z 0-9"            |
        | SQL for a SKU        | {"items":[{"sku":"A'; DROP TABLE orders; --","quantity":1}]}                             | "/items/0/sku"      | "A-Z 0-9"            |
        | a SKU of NUL         | {"items":[{"sku":"A\\u0000","quantity":1}]}                                              | "/items/0/sku"      | "U+0000"             |
        | a SKU without end    | {"items":[{"sku":"${filler.65}","quantity":1}]}                                          | "/items/0/sku"      | "1 to 64"            |
        | one SKU twice        | {"items":[{"sku":"JUG-${run}","quantity":1},{"sku":"JUG-${run}","quantity":2}]}          | "/items/1/sku"      | "once"               |

    Scenario: what nobody sells is named line by line
      When buyer posts "/v1/orders" with key "${run}-bad"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 }, { "sku": "NO-1-${run}", "quantity": 1 }, { "sku": "NO-2-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 422 and json "$.code" == "unknown-sku" and json "$.hint" contains "GET /v1/products"
      And buyer json "$.errors[0].pointer" == "/items/1/sku" and json "$.errors[1].pointer" == "/items/2/sku"
      When stock calls "GetLevels"
        """json
        { "sku": ["JUG-${run}"] }
        """
      Then stock json "$.levels[0].reserved" == 0
      When buyer posts "/v1/orders" with key "${run}-bad"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 201

    Scenario: a megabyte is not read
      When buyer posts "/v1/orders" with key "${run}-big"
        """json
        { "items": "${filler.1000000}" }
        """
      Then buyer status == 413 and json "$.code" == "too-large" and json "$.detail" contains "16384 bytes" and json "$.hint" == "Send a smaller body."
      When clerk posts "/v1/products"
        """json
        { "sku": "BIG-${run}", "name": "${filler.1000000}" }
        """
      Then clerk status == 413 and json "$.code" == "too-large"
      When buyer posts "/v1/orders" with key "${run}-good"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 201

    Scenario Outline: a body sent as <type> is not guessed at
      When buyer posts "/v1/orders" with key "${run}-type"
        """<type>
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 415 and json "$.code" == "unsupported-media-type" and json "$.detail" == "Content-Type must be application/json."
      When buyer posts "/v1/orders" with key "${run}-type"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 201

      Examples:
        | type             |
        | text/plain       |
        | application/xml  |
        | form             |
        | application/json2 |

    Scenario: headers that are wrong
      When buyer posts "/v1/orders" header "content-encoding" "gzip" with key "${run}-headers"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 415 and json "$.detail" contains "Content-Encoding"
      When buyer posts "/v1/orders"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 400 and json "$.detail" contains "Idempotency-Key is missing; send a fresh unique value"
      When buyer posts "/v1/orders" with key "${filler.256}"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 400 and json "$.detail" contains "1 to 255 printable"
      When buyer posts "/v1/orders" with key "${run}-headers" header "x-filler" "${filler.30000}"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 431
      When clerk puts "/v1/products/JUG-${run}"
        """json
        { "name": "Jug", "priceMinor": 1, "currency": "EUR" }
        """
      Then clerk status == 428 and json "$.detail" contains "send the ETag"
      When clerk puts "/v1/products/JUG-${run}" header "if-match" "7"
        """json
        { "name": "Jug", "priceMinor": 1, "currency": "EUR" }
        """
      Then clerk status == 400 and json "$.detail" contains "If-Match"
      When buyer posts "/v1/orders" with key "${run}-headers"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 201

    Scenario Outline: GET <path> says what is wrong with it
      Given actor asker is rest at <service> as <who>
      When asker gets "<path>"
      Then asker status == <status> and json "$.code" == <code> and json "$.detail" contains <says> and header "content-type" == "application/problem+json"

      Examples:
        | service      | who      | path                              | status | code          | says                      |
        | order        | customer | /v1/orders?limit=0                | 400    | "bad-request" | "1..100"                  |
        | order        | customer | /v1/orders?limit=9999999999999999999 | 400 | "bad-request" | "1..100"                  |
        | order        | customer | /v1/orders?state=LOST             | 400    | "bad-request" | "none of PENDING"         |
        | order        | customer | /v1/orders?cursor=x               | 400    | "bad-request" | "cursor"                  |
        | order        | customer | /v1/orders?cursor=%00             | 400    | "bad-request" | "escape"                  |
        | order        | customer | /v1/orders?cursor=%zz             | 400    | "bad-request" | "escape"                  |
        | order        | customer | /v1/orders/1                      | 404    | "not-found"   | "UUID"                    |
        | order        | customer | /v1/orders/%2e%2e                 | 400    | "bad-request" | "dot segment"             |
        | order        | customer | /v1/orders/01890000-0000-7000-8000-000000000000 | 404 | "not-found" | "no such order"    |
        | product      | nobody   | /v1/products?limit=x              | 400    | "bad-request" | "1..100"                  |
        | product      | nobody   | /v1/products?q=                   | 400    | "bad-request" | "1 to 100"                |
        | product      | nobody   | /v1/products?tag=A%20B            | 400    | "bad-request" | "a-z 0-9"                 |
        | product      | nobody   | /v1/products?cursor=zz            | 400    | "bad-request" | "nextCursor"              |
        | product      | nobody   | /v1/products/%27%20OR%201=1       | 404    | "not-found"   | "no product"              |
        | notification | partner  | /v1/webhooks?cursor=x             | 400    | "bad-request" | "nextCursor"              |
        | notification | partner  | /v1/webhooks/x                    | 404    | "not-found"   | "no such subscription"    |
        | notification | customer | /v1/live                          | 426    | "upgrade-required" | "upgrade the connection" |

    Scenario Outline: a product with <what> is not acceptable
      When clerk posts "/v1/products"
        """json
        <body>
        """
      Then clerk status == 422 and json "$.errors[0].pointer" == <where> and json "$.errors[0].detail" contains <says>

      Examples:
        | what              | body                                                                            | where         | says           |
        | no price          | {"sku":"X-${run}","name":"x","currency":"EUR"}                                  | "/priceMinor" | "missing"      |
        | a price of text   | {"sku":"X-${run}","name":"x","priceMinor":"1","currency":"EUR"}                 | "/priceMinor" | "integer"      |
        | a price below 0   | {"sku":"X-${run}","name":"x","priceMinor":-1,"currency":"EUR"}                  | "/priceMinor" | "0 to"         |
        | the largest price | {"sku":"X-${run}","name":"x","priceMinor":9223372036854775807,"currency":"EUR"} | "/priceMinor" | "0 to"         |
        | no currency known | {"sku":"X-${run}","name":"x","priceMinor":1,"currency":"euro"}                  | "/currency"   | "3 bytes"      |
        | a name of NUL     | {"sku":"X-${run}","name":"a\\u0000b","priceMinor":1,"currency":"EUR"}           | "/name"       | "U+0000"       |
        | a name of 900     | {"sku":"X-${run}","name":"${filler.900}","priceMinor":1,"currency":"EUR"}       | "/name"       | "800"          |
        | a tag that is bad | {"sku":"X-${run}","name":"x","priceMinor":1,"currency":"EUR","tags":["A B"]}    | "/tags/0"     | "a-z"          |
        | tags that are not | {"sku":"X-${run}","name":"x","priceMinor":1,"currency":"EUR","tags":"x"}        | "/tags"       | "array"        |

    Scenario: the door of auth
      Given actor guest is rest at gateway
      When guest posts "/v1/users"
        """json
        { "username": "${run}", "password": "long enough, really" }
        """
      Then guest status == 422 and json "$.errors[0].pointer" == "/username"
      When guest posts "/v1/users"
        """json
        { "username": "guest", "password": "short" }
        """
      Then guest status == 422 and json "$.errors[0].pointer" == "/password" and json "$.detail" contains "12 to 128"
      When guest posts "/v1/users"
        """json
        { "username": "customer", "password": "long enough, really" }
        """
      Then guest status == 409 and json "$.detail" contains "choose another"
      When guest posts "/v1/login"
        """json
        { "username": "customer", "password": "' OR ''='" }
        """
      Then guest status == 401 and json "$.detail" == "the name or the password is wrong" and header "www-authenticate" exists
      When guest posts "/oauth2/token"
        """form
        grant_type=password&username=customer&password=x
        """
      Then guest status == 400 and json "$.error" == "unsupported_grant_type"
      When guest posts "/oauth2/token"
        """form
        grant_type=%zz
        """
      Then guest status == 400 and json "$.error" == "invalid_request"
      When guest posts "/oauth2/token"
        """form
        grant_type=refresh_token&refresh_token=guessed
        """
      Then guest status == 400 and json "$.error" == "invalid_grant"

    Scenario: what is not yours, or not for you
      Given actor thief is rest at gateway as other-customer
      When buyer posts "/v1/orders" with key "${run}-mine"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 201
      And save order from buyer json "$.orderId"
      When thief gets "/v1/orders/${order}"
      Then thief status == 404
      When thief posts "/v1/orders/${order}/cancel"
      Then thief status == 404
      When thief posts "/v1/orders/${order}/confirm"
      Then thief status == 403 and json "$.detail" contains "orders:manage" and header "www-authenticate" contains "insufficient_scope"
      When thief posts "/v1/orders/${order}/cancel" header "content-type" "application/json"
        """json
        {}
        """
      Then thief status == 413 and json "$.detail" contains "takes no body"
      When buyer gets "/v1/orders/${order}"
      Then buyer status == 200 and json "$.state" == RESERVED

  Rule: tokens

    Scenario Outline: a token that is <forged> opens no door
      Given actor forger is forger as customer
      And actor intruder is rest at gateway
      When forger forges "<forged>"
      And intruder gets "/v1/orders" as token ${forger.token}
      Then intruder status == 401 and json "$.code" == unauthorized and json "$.detail" contains <says>
      And intruder header "www-authenticate" contains "invalid_token" and header "content-type" == "application/problem+json"
      When intruder posts "/v1/products" as token ${forger.token}
        """json
        { "sku": "X-${run}", "name": "x", "priceMinor": 1, "currency": "EUR" }
        """
      Then intruder status == 401
      When intruder gets "/v1/me" as token ${forger.token}
      Then intruder status == 401 and header "www-authenticate" contains "invalid_token"
      When intruder gets "/v1/webhooks" as token ${forger.token}
      Then intruder status == 401

      Examples:
        | forged         | says                 |
        | expired        | "expired"            |
        | not-yet        | "not valid yet"      |
        | eternal        | "no expiry"          |
        | other-issuer   | "another issuer"     |
        | other-audience | "another audience"   |
        | no-subject     | "no subject"         |
        | padded         | "longer than 8192"   |
        | other-key      | "signature is wrong" |
        | unknown-key    | "key is unknown"     |
        | no-key-id      | "key is unknown"     |
        | key-id-path    | "key is unknown"     |
        | key-id-sql     | "key is unknown"     |
        | none           | "algorithm"          |
        | hmac           | "algorithm"          |
        | tampered       | "signature is wrong" |
        | unsigned       | "signature is wrong" |

    Scenario: the forger's hand is steady
      Given actor forger is forger as customer
      And actor intruder is rest at gateway
      When forger forges "genuine"
      And intruder gets "/v1/orders?limit=1" as token ${forger.token}
      Then intruder status == 200

    Scenario Outline: no token at all, but <what>
      Given actor intruder is rest at gateway
      When intruder gets "/v1/orders" header "authorization" <field>
      Then intruder status == 401 and header "www-authenticate" contains "Bearer"

      Examples:
        | what         | field                    |
        | a password   | "Basic Y3VzdG9tZXI6eA==" |
        | nothing      | "Bearer "                |
        | one part     | "Bearer x"               |
        | empty parts  | "Bearer .."              |
        | four parts   | "Bearer e30.e30.e30.e30" |
        | no algorithm | "Bearer e30.e30.e30"     |
        | no base64    | "Bearer %%%.%%%.%%%"     |

    Scenario: a key of a moment ago is as good as an old one
      Given actor admin is rest at gateway as admin
      When admin posts "/v1/keys/rotate"
      Then admin status == 200
      Given actor newcomer is rest at gateway as new customer
      When newcomer posts "/v1/orders" with key "${run}-new-key"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then newcomer status == 201
      When buyer gets "/v1/orders?limit=1"
      Then buyer status == 200

    Scenario Outline: nobody listens in with a token that is <forged>
      Given actor forger is forger as customer
      And actor page is sse at gateway path "/v1/stream" idle
      And actor screen is websocket at gateway path "/v1/live" idle
      When forger forges "<forged>"
      And page tries to open as token ${forger.token}
      Then page status == 401 and json "$.code" == unauthorized and json "$.detail" contains <says>
      When screen tries to open as token ${forger.token}
      Then screen status == 401

      Examples:
        | forged      | says                 |
        | expired     | "expired"            |
        | other-key   | "signature is wrong" |
        | unknown-key | "key is unknown"     |
        | none        | "algorithm"          |
        | tampered    | "signature is wrong" |

    Scenario: nobody listens in without a token
      Given actor page is sse at gateway path "/v1/stream" idle
      And actor screen is websocket at gateway path "/v1/live" idle
      When page tries to open
      Then page status == 401 and json "$.code" == unauthorized
      When screen tries to open
      Then screen status == 401

  Rule: webhooks

    Scenario Outline: a partner cannot subscribe <what>
      Given actor erp is rest at gateway as partner
      When erp posts "/v1/webhooks"
        """json
        <body>
        """
      Then erp status == 422 and json "$.errors[0].pointer" == <where> and json "$.errors[0].detail" contains <says>

      Examples:
        | what                 | body                                                                                          | where           | says                |
        | nowhere              | {"eventTypes":["ecommerce.order.paid.v1"]}                                                    | "/url"          | "missing"           |
        | a path               | {"url":"/hooks/of/mine","eventTypes":["ecommerce.order.paid.v1"]}                             | "/url"          | "http:// or https" |
        | a file               | {"url":"file:///etc/passwd","eventTypes":["ecommerce.order.paid.v1"]}                         | "/url"          | "http:// or https" |
        | with a password      | {"url":"https://me:pw@erp.example/","eventTypes":["ecommerce.order.paid.v1"]}                 | "/url"          | "user info"         |
        | with a line end      | {"url":"https://erp.example/\\r\\nHost: x","eventTypes":["ecommerce.order.paid.v1"]}          | "/url"          | "not allowed"       |
        | at no host           | {"url":"https:///hooks","eventTypes":["ecommerce.order.paid.v1"]}                             | "/url"          | "no host"           |
        | at port 0            | {"url":"https://erp.example:0/","eventTypes":["ecommerce.order.paid.v1"]}                     | "/url"          | "port"              |
        | at a port above all  | {"url":"https://erp.example:65536/","eventTypes":["ecommerce.order.paid.v1"]}                 | "/url"          | "port"              |
        | at a port of letters | {"url":"https://erp.example:https/","eventTypes":["ecommerce.order.paid.v1"]}                 | "/url"          | "port"              |
        | without an end       | {"url":"https://erp.example/${filler.2048}","eventTypes":["ecommerce.order.paid.v1"]}         | "/url"          | "10 to 2048"        |
        | to nothing           | {"url":"https://erp.example/","eventTypes":[]}                                                | "/eventTypes"   | "1 to 10"           |
        | to what is unknown   | {"url":"https://erp.example/","eventTypes":["ecommerce.order.lost.v1"]}                       | "/eventTypes/0" | "no event type"     |
        | twice to one         | {"url":"https://erp.example/","eventTypes":["ecommerce.order.paid.v1","ecommerce.order.paid.v1"]} | "/eventTypes/1" | "twice"         |

  Rule: gRPC

    Scenario Outline: inventory refuses <method> with <what>
      When stock calls "<method>"
        """json
        <request>
        """
      Then stock status == INVALID_ARGUMENT and message contains <says>
      When buyer posts "/v1/orders" with key "${run}-good"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 201

      Examples:
        | method    | what            | request                                                                                                        | says     |
        | Reserve   | nothing         | {}                                                                                                             | "order"  |
        | Reserve   | no order        | {"orderId":"x","lines":[{"sku":"JUG-${run}","quantity":1}]}                                                    | "order"  |
        | Reserve   | no lines        | {"orderId":"${uuid}"}                                                                                          | "lines"  |
        | Reserve   | quantity 0      | {"orderId":"${uuid}","lines":[{"sku":"JUG-${run}"}]}                                                           | "quantity" |
        | Reserve   | a huge quantity | {"orderId":"${uuid}","lines":[{"sku":"JUG-${run}","quantity":4294967295}]}                                     | "quantity" |
        | Reserve   | one SKU twice   | {"orderId":"${uuid}","lines":[{"sku":"JUG-${run}","quantity":1},{"sku":"JUG-${run}","quantity":1}]}            | "one line only"   |
        | Reserve   | a bad SKU       | {"orderId":"${uuid}","lines":[{"sku":"jug","quantity":1}]}                                                     | "sku"    |
        | Commit    | no order        | {}                                                                                                             | "order"  |
        | Release   | no reason       | {"orderId":"${uuid}"}                                                                                          | "reason" |
        | GetLevels | no SKU          | {}                                                                                                             | "sku"    |
        | Adjust    | delta 0         | {"sku":"JUG-${run}","delta":0,"reason":"x","idempotencyKey":"${uuid}"}                                         | "delta"  |
        | Adjust    | a huge delta    | {"sku":"JUG-${run}","delta":9223372036854775807,"reason":"x","idempotencyKey":"${uuid}"}                       | "delta"  |
        | Adjust    | no key          | {"sku":"JUG-${run}","delta":1,"reason":"x"}                                                                    | "key"    |

    Scenario: stock cannot be counted below what is held
      When stock calls "Adjust"
        """json
        { "sku": "JUG-${run}", "delta": -11, "reason": "broken in the store", "idempotencyKey": "${run}-broken" }
        """
      Then stock status == OK and json "$.outcome" == WOULD_BE_NEGATIVE and json "$.level.available" == 10

  Rule: live updates

    Scenario Outline: a stream from <cursor> is refused
      Given actor page is sse at gateway path "/v1/stream" as customer idle
      And actor screen is websocket at gateway path "/v1/live?after=<cursor>" as customer idle
      When page tries to open from "<cursor>"
      Then page status == 400 and json "$.detail" contains "0 to 2^53-1"
      When screen tries to open
      Then screen status == 400

      Examples:
        | cursor               |
        | x                    |
        | -1                   |
        | 9007199254740992     |
        | 99999999999999999999 |
        | 1.5                  |

    Scenario: a socket that talks too much is closed, the others stay
      Given actor screen is websocket at gateway path "/v1/live" as customer
      And actor talker is websocket at gateway path "/v1/live" as customer
      When talker sends "${filler.1000000}"
      Then within 5s talker receives type == close
      When buyer posts "/v1/orders" with key "${run}-heard"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 201
      And save order from buyer json "$.orderId"
      And within 5s screen receives in order json "$.data.state" for key ${order}
        | PENDING | RESERVED |

  Rule: Kafka

    Background: a paid order is one event away
      Given actor payments is kafka topic "ecommerce.payments" producer "payment"
      And actor parked is kafka topic "ecommerce.payments.dlq"
      And actor ledger is kafka topic "ecommerce.orders"
      When buyer posts "/v1/orders" with key "${run}-poisoned"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 201
      And save poisoned from buyer json "$.orderId"
      When buyer posts "/v1/orders" with key "${run}-healthy"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 201
      And save healthy from buyer json "$.orderId"

    Scenario Outline: <what> is parked with its key, other keys go on
      When payments sends for key ${poisoned} header "event-type" "ecommerce.payment.authorized.v1"
        """<form>
        <body>
        """
      Then within 5s parked receives for key ${poisoned} with header "dlq-reason" contains <says>
      And parked header "dlq-topic" == "ecommerce.payments"
      # Order per key holds: what comes after waits behind it.
      When payments publishes "ecommerce.payment.authorized.v1" for key ${poisoned}
        """json
        { "paymentId": "${uuid}", "orderId": "${poisoned}", "amountMinor": 700, "currency": "EUR", "authorizedAt": "${now}" }
        """
      Then within 5s parked receives for key ${poisoned} with header "dlq-reason" == "an earlier event of this key is parked"
      When payments publishes "ecommerce.payment.authorized.v1" for key ${healthy}
        """json
        { "paymentId": "${uuid}", "orderId": "${healthy}", "amountMinor": 700, "currency": "EUR", "authorizedAt": "${now}" }
        """
      Then within 5s ledger receives "ecommerce.order.paid.v1" for key ${healthy}
      When buyer gets "/v1/orders/${poisoned}"
      Then buyer status == 200 and json "$.state" == RESERVED

      Examples:
        | what                   | form | body                                             | says             |
        | an empty value         | hex  |                                                  | "JSON"           |
        | a value of noise       | hex  | 00ff17c0deadbeef00fe                             | "JSON"           |
        | a value cut short      | text | {"eventId":"01890000-0000-7000-8000-0000         | "JSON at byte"   |
        | a value nested deep    | text | ${deep.5000}                                     | "nested deeper"  |
        | a value of a megabyte  | text | {"payload":"${filler.1020000}"}                  | "at most"        |
        | no envelope            | text | {"orderId":"${poisoned}"}                        | "eventId is missing" |
        | an envelope of 2.0     | text | {"eventId":"${uuid}","eventType":"ecommerce.payment.authorized.v1","occurredAt":"${now}","producer":"payment","traceId":"${trace}","correlationId":"${run}","payload":{},"schemaVersion":"2.0","tenantId":"default","partitionKey":"${poisoned}"} | "schemaVersion" |
        | a version from the future | text | {"eventId":"${uuid}","eventType":"ecommerce.payment.authorized.v2","occurredAt":"${now}","producer":"payment","traceId":"${trace}","correlationId":"${run}","payload":{},"schemaVersion":"1.0","tenantId":"default","partitionKey":"${poisoned}"} | "version" |
        | a payload of text      | text | {"eventId":"${uuid}","eventType":"ecommerce.payment.authorized.v1","occurredAt":"${now}","producer":"payment","traceId":"${trace}","correlationId":"${run}","payload":"paid","schemaVersion":"1.0","tenantId":"default","partitionKey":"${poisoned}"} | "payload" |
        | a payload of nothing   | text | {"eventId":"${uuid}","eventType":"ecommerce.payment.authorized.v1","occurredAt":"${now}","producer":"payment","traceId":"${trace}","correlationId":"${run}","payload":{},"schemaVersion":"1.0","tenantId":"default","partitionKey":"${poisoned}"} | "missing" |
        | money that is negative | text | {"eventId":"${uuid}","eventType":"ecommerce.payment.authorized.v1","occurredAt":"${now}","producer":"payment","traceId":"${trace}","correlationId":"${run}","payload":{"paymentId":"${uuid}","orderId":"${poisoned}","amountMinor":-1,"currency":"EUR","authorizedAt":"${now}"},"schemaVersion":"1.0","tenantId":"default","partitionKey":"${poisoned}"} | "amountMinor" |
        | a payment for nobody   | text | {"eventId":"${uuid}","eventType":"ecommerce.payment.authorized.v1","occurredAt":"${now}","producer":"payment","traceId":"${trace}","correlationId":"${run}","payload":{"paymentId":"${uuid}","orderId":"${uuid}","amountMinor":700,"currency":"EUR","authorizedAt":"${now}"},"schemaVersion":"1.0","tenantId":"default","partitionKey":"${poisoned}"} | "does not exist" |
        | a key of another       | text | {"eventId":"${uuid}","eventType":"ecommerce.payment.authorized.v1","occurredAt":"${now}","producer":"payment","traceId":"${trace}","correlationId":"${run}","payload":{"paymentId":"${uuid}","orderId":"${poisoned}","amountMinor":700,"currency":"EUR","authorizedAt":"${now}"},"schemaVersion":"1.0","tenantId":"default","partitionKey":"${healthy}"} | "partitionKey" |

    Scenario: noise without a key parks nobody
      When payments sends
        """hex
        00ff17c0deadbeef
        """
      Then within 5s parked receives with header "dlq-reason" contains "JSON"
      When payments publishes "ecommerce.payment.authorized.v1" for key ${healthy}
        """json
        { "paymentId": "${uuid}", "orderId": "${healthy}", "amountMinor": 700, "currency": "EUR", "authorizedAt": "${now}" }
        """
      Then within 5s ledger receives "ecommerce.order.paid.v1" for key ${healthy}

    Scenario: noise among the products does not stop the catalogue
      Given actor catalogue is kafka topic "ecommerce.products"
      And actor lost is kafka topic "ecommerce.products.dlq"
      When catalogue sends for key "JUG-${run}"
        """hex
        00ff17c0deadbeef
        """
      Then within 5s lost receives for key "JUG-${run}"
      When clerk gets "/v1/products/JUG-${run}"
      Then save tag from clerk header "etag"
      When clerk puts "/v1/products/JUG-${run}" header "if-match" ${tag}
        """json
        { "name": "Jug, blue", "priceMinor": 800, "currency": "EUR" }
        """
      Then clerk status == 200
      When clerk gets "/v1/products/JUG-${run}"
      Then clerk json "$.name" == "Jug, blue"

    Scenario: noise among the orders does not stop live updates
      Given actor screen is websocket at gateway path "/v1/live" as customer
      And actor lost is kafka topic "ecommerce.orders.dlq"
      When ledger sends for key "${run}-noise"
        """hex
        00ff17c0deadbeef
        """
      Then within 5s lost receives for key "${run}-noise"
      When buyer posts "/v1/orders" with key "${run}-after"
        """json
        { "items": [ { "sku": "JUG-${run}", "quantity": 1 } ] }
        """
      Then buyer status == 201
      And save order from buyer json "$.orderId"
      And within 5s screen receives in order json "$.data.state" for key ${order}
        | PENDING | RESERVED |
