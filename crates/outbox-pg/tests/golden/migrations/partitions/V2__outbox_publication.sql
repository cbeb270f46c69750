DO 'BEGIN IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = ''outbox'') THEN
            CREATE PUBLICATION "outbox" FOR TABLE "outbox"."outbox_message" WITH (publish = ''insert'', publish_via_partition_root = true);
        END IF; END';
