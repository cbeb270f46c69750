ALTER TABLE "outbox"."outbox_message" ADD COLUMN IF NOT EXISTS "tracestate" text NOT NULL DEFAULT '';
