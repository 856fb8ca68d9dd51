CREATE TABLE users (
    user_id       uuid PRIMARY KEY,
    tenant        text NOT NULL DEFAULT 'default',
    username      text NOT NULL,
    password_hash text NOT NULL,
    scope         text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant, username)
);

CREATE TABLE clients (
    client_id   text PRIMARY KEY,
    tenant      text NOT NULL DEFAULT 'default',
    secret_hash text NOT NULL, -- SHA-256, hex: client secrets are random, so a slow hash adds nothing
    scope       text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- One row per refresh token ever issued. A family is what grew from one login; the reuse of a used token revokes all of it.
CREATE TABLE refresh_tokens (
    token_hash text PRIMARY KEY, -- SHA-256, hex
    family     uuid NOT NULL,
    user_id    uuid NOT NULL REFERENCES users,
    scope      text NOT NULL,
    issued_at  timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    revoked_at timestamptz
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family);

CREATE TABLE signing_keys (
    kid        text PRIMARY KEY,
    alg        text NOT NULL CHECK (alg IN ('RS256', 'EdDSA')),
    pem        text NOT NULL, -- PKCS#8; moves to OpenBao transit
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);
-- One key signs at a time, whichever replica made it.
CREATE UNIQUE INDEX signing_keys_active ON signing_keys ((true)) WHERE retired_at IS NULL;
