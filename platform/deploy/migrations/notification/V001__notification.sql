-- Version 7 (RFC 9562) of the current time: a random version 4 with the milliseconds laid over its first 48 bits and the
-- version bits set. Deliveries are made by SQL, one per subscription, so their ids are too.
CREATE FUNCTION uuid_v7() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$;

-- The last sequence given out to a user. Its row lock orders the commits of one user, so that whoever sees
-- sequence n sees all before it.
CREATE TABLE user_sequences (
    tenant  text NOT NULL,
    user_id text NOT NULL,
    last    bigint NOT NULL CHECK (last > 0),
    PRIMARY KEY (tenant, user_id)
);

-- What live clients resume from. Per user always an unbroken run that ends at user_sequences.last.
CREATE TABLE live_messages (
    tenant      text NOT NULL,
    user_id     text NOT NULL,
    sequence    bigint NOT NULL,
    type        text NOT NULL,
    occurred_at timestamptz NOT NULL,
    traceparent text NOT NULL,
    data        text NOT NULL, -- one JSON object, as it goes out
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, user_id, sequence)
);
CREATE INDEX live_messages_age ON live_messages (created_at);

-- The orders of a user as last told: the snapshot of a reset.
CREATE TABLE user_orders (
    tenant     text NOT NULL,
    user_id    text NOT NULL,
    order_id   uuid NOT NULL,
    version    bigint NOT NULL,
    data       text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, user_id, order_id)
);
CREATE INDEX user_orders_age ON user_orders (updated_at);

CREATE TABLE webhooks (
    webhook_id  uuid PRIMARY KEY, -- version 7, made by the service: sorts by time
    tenant      text NOT NULL,
    owner       text NOT NULL,    -- sub of the token that made it
    url         text NOT NULL,
    event_types text[] NOT NULL,
    description text,
    secret      text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    disabled_at timestamptz       -- the partner answered 410
);
CREATE INDEX webhooks_owner ON webhooks (tenant, owner, webhook_id DESC);

-- No foreign key to webhooks: a subscription that ends while a transition is taken in must not turn that event into poison.
-- What it leaves behind is swept.
CREATE TABLE deliveries (
    number          bigserial PRIMARY KEY,
    delivery_id     uuid NOT NULL DEFAULT uuid_v7(), -- webhook-id is "msg_" and this
    webhook_id      uuid NOT NULL,
    order_id        uuid NOT NULL,
    version         bigint NOT NULL,
    type            text NOT NULL,
    occurred_at     timestamptz NOT NULL,
    traceparent     text NOT NULL,
    correlation_id  text NOT NULL,
    data            text NOT NULL,
    state           text NOT NULL DEFAULT 'PENDING' CHECK (state IN ('PENDING', 'DELIVERED', 'FAILED')),
    attempts        integer NOT NULL DEFAULT 0,          -- begun
    attempt_log     jsonb NOT NULL DEFAULT '[]'::jsonb,  -- ended, the newest 20, as the API shows them
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(), -- as the API shows it
    due_at          timestamptz NOT NULL DEFAULT clock_timestamp(), -- when it may be claimed; while an attempt runs: the end of its lease
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at     timestamptz,
    UNIQUE (webhook_id, order_id, version)
);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state = 'PENDING';
CREATE INDEX deliveries_head ON deliveries (webhook_id, order_id, version) WHERE state = 'PENDING';
CREATE INDEX deliveries_page ON deliveries (webhook_id, number DESC);
CREATE INDEX deliveries_age ON deliveries (finished_at) WHERE state <> 'PENDING';

CREATE TABLE inbox (
    consumer    text NOT NULL,
    event_id    uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX inbox_age ON inbox (received_at);

CREATE TABLE parked_keys (
    consumer      text NOT NULL,
    topic         text NOT NULL,
    partition_key text NOT NULL,
    parked_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, topic, partition_key)
);
