CREATE TABLE orders (
    order_id        uuid PRIMARY KEY, -- version 7, made by the service: sorts by time
    tenant          text NOT NULL,
    customer_id     text NOT NULL,
    state           text NOT NULL,
    version         bigint NOT NULL,
    total_minor     bigint NOT NULL CHECK (total_minor >= 0),
    currency        text NOT NULL,
    reason          text,
    correlation_id  text NOT NULL,
    traceparent     text NOT NULL,
    idempotency_key text NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
) WITH (fillfactor = 60); -- each order is updated at least once, in place: no index holds what changes
CREATE INDEX orders_customer ON orders (tenant, customer_id, order_id DESC);
CREATE INDEX orders_age ON orders USING brin (created_at); -- for the sweeper, which looks at the newest pages only

-- What inventory must still hear of a transition; a row leaves when it has heard.
CREATE TABLE stock_tasks (
    order_id   uuid PRIMARY KEY,
    tenant     text NOT NULL,
    task       text NOT NULL CHECK (task IN ('commit', 'release')),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE order_items (
    order_id         uuid NOT NULL, -- no foreign key: both rows come in one statement, and the check costs as much as the insert
    line             integer NOT NULL,
    sku              text NOT NULL,
    quantity         integer NOT NULL CHECK (quantity > 0),
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
    PRIMARY KEY (order_id, line)
);

CREATE TABLE idempotency_keys (
    tenant      text NOT NULL,
    customer_id text NOT NULL,
    key         text NOT NULL,
    fingerprint text NOT NULL, -- SHA-256 of the body, hex
    order_id    uuid NOT NULL,
    status      integer,       -- of the answer; NULL while the first request is under way
    answer      text,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant, customer_id, key)
) WITH (fillfactor = 60);
CREATE INDEX idempotency_keys_age ON idempotency_keys USING brin (created_at);

CREATE TABLE outbox (
    id            uuid PRIMARY KEY,
    topic         text NOT NULL,
    partition_key text NOT NULL,
    sequence      bigint NOT NULL,
    event_type    text NOT NULL,
    headers       text NOT NULL,
    envelope      text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp() -- the relay publishes in this order: see bv/outbox.h
);
CREATE INDEX outbox_order ON outbox (created_at, sequence);

CREATE TABLE inbox (
    consumer    text NOT NULL,
    event_id    uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);

-- Keys whose events wait in the dead-letter topic: see bv/parked.h.
CREATE TABLE parked_keys (
    consumer      text NOT NULL,
    topic         text NOT NULL,
    partition_key text NOT NULL,
    parked_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, topic, partition_key)
);
