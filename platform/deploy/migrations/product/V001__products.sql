CREATE TABLE products (
    tenant      text NOT NULL,
    sku         text NOT NULL,
    name        text NOT NULL,
    description text NOT NULL,
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    currency    text NOT NULL,
    tags        text[] NOT NULL,
    version     bigint NOT NULL,
    deleted     boolean NOT NULL DEFAULT false, -- a tombstone keeps the version, so that a SKU that comes back goes on counting
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    search      tsvector GENERATED ALWAYS AS (to_tsvector('simple', sku || ' ' || name || ' ' || description)) STORED,
    PRIMARY KEY (tenant, sku)
);
CREATE INDEX products_tags ON products USING gin (tags);
CREATE INDEX products_search ON products USING gin (search);

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
