//! The SQL of pauses, of what operators ask for, and of retention. `{s}` stands for the schema, `$1` for the group.

pub(super) const PAUSE: &str =
    "INSERT INTO {s}.consumer_pause AS known (consumer_group, topic, event_type, reason, until)
     VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5))
     ON CONFLICT (consumer_group, topic, event_type)
     DO UPDATE SET reason = excluded.reason, paused_at = excluded.paused_at, until = excluded.until
     WHERE excluded.until IS NULL OR known.until IS NOT NULL";

pub(super) const RESUME: &str =
    "DELETE FROM {s}.consumer_pause WHERE consumer_group = $1 AND topic = $2 AND event_type = $3 RETURNING true";

pub(super) const PAUSES: &str = "SELECT topic, event_type, reason, paused_at, until FROM {s}.consumer_pause
     WHERE consumer_group = $1 AND (until IS NULL OR until > statement_timestamp())
     ORDER BY topic, event_type";

pub(super) const FORGET_PAUSES: &str =
    "DELETE FROM {s}.consumer_pause WHERE consumer_group = $1 AND until < statement_timestamp() RETURNING topic";

pub(super) const STATUS: &str = "SELECT topic, partition, next_offset, end_offset, stopped_because, updated_at,
            (SELECT owner FROM {s}.consumer_lease AS lease
             WHERE lease.consumer_group = $1 AND lease.topic = position.topic
               AND lease.partition = position.partition AND expires_at > statement_timestamp()) AS owner,
            (SELECT count(*) FROM {s}.consumer_held AS held
             WHERE held.consumer_group = $1 AND held.topic = position.topic
               AND held.partition = position.partition AND state = 'parked') AS parked,
            (SELECT count(*) FROM {s}.consumer_held AS held
             WHERE held.consumer_group = $1 AND held.topic = position.topic
               AND held.partition = position.partition AND state = 'dead') AS dead,
            EXISTS (SELECT FROM {s}.consumer_pause AS pause
                    WHERE pause.consumer_group = $1 AND pause.topic IN ('', position.topic)
                      AND event_type = '' AND (until IS NULL OR until > statement_timestamp())) AS paused
     FROM {s}.consumer_position AS position WHERE consumer_group = $1 ORDER BY topic, partition";

pub(super) const REQUEST_OF: &str =
    "SELECT id, held_id, action, requested_at, done_at, outcome FROM {s}.consumer_request
     WHERE consumer_group = $1 AND id = $2";

pub(super) const REMOVE_GROUP: &str = "WITH held AS (DELETE FROM {s}.consumer_held WHERE consumer_group = $1),
          request AS (DELETE FROM {s}.consumer_request WHERE consumer_group = $1),
          pause AS (DELETE FROM {s}.consumer_pause WHERE consumer_group = $1),
          lease AS (DELETE FROM {s}.consumer_lease WHERE consumer_group = $1),
          member AS (DELETE FROM {s}.consumer_member WHERE consumer_group = $1)
     DELETE FROM {s}.consumer_position WHERE consumer_group = $1";

/// In the order of the key: what was deleted before is not read again.
pub(super) const REMOVE_EVENTS: &str = "WITH batch AS MATERIALIZED (
         SELECT ctid, event_id FROM {s}.consumer_inbox WHERE consumer_group = $1 AND event_id > $2
         ORDER BY event_id LIMIT 5000),
     gone AS (DELETE FROM {s}.consumer_inbox WHERE ctid = ANY (ARRAY (SELECT ctid FROM batch)))
     SELECT event_id FROM batch ORDER BY event_id DESC LIMIT 1";

pub(super) const MAY_PURGE: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended({purge} || '/' || $1, 0))";

/// A batch of the oldest events, by the index. The horizon rises with it, so that no position is moved to
/// what is forgotten; what is not below the position stays, because it may be read again.
pub(super) const FORGET: &str = "WITH aged AS MATERIALIZED (
         SELECT ctid, position_id, record_offset, handled_at FROM {s}.consumer_inbox
         WHERE consumer_group = $1 AND state = 'handled' AND handled_at >= $2
           AND handled_at < statement_timestamp() - make_interval(secs => $3)
         ORDER BY handled_at LIMIT $4),
     raised AS (
         UPDATE {s}.consumer_position AS position
         SET horizon = greatest(horizon, least(reach.below, next_offset))
         FROM (SELECT position_id, max(record_offset) + 1 AS below FROM aged GROUP BY position_id) AS reach
         WHERE position.id = reach.position_id
         RETURNING position.id, least(position.next_offset, position.horizon) AS below),
     judged AS MATERIALIZED (
         SELECT aged.ctid, handled_at, coalesce(record_offset < below, NOT EXISTS (
                    SELECT FROM {s}.consumer_position AS position WHERE position.id = position_id)) AS goes
         FROM aged LEFT JOIN raised ON raised.id = position_id),
     gone AS (
         DELETE FROM {s}.consumer_inbox WHERE ctid = ANY (ARRAY (SELECT ctid FROM judged WHERE goes))
         RETURNING 1)
     SELECT (SELECT count(*) FROM gone), count(*), max(handled_at), min(handled_at) FILTER (WHERE NOT goes)
     FROM judged";

pub(super) const FORGET_REQUESTS: &str = "DELETE FROM {s}.consumer_request WHERE id = ANY (ARRAY (
         SELECT id FROM {s}.consumer_request
         WHERE consumer_group = $1 AND done_at < statement_timestamp() - make_interval(secs => $2)
         ORDER BY done_at LIMIT $3)) RETURNING id";

pub(super) const FORGET_MEMBERS: &str = "DELETE FROM {s}.consumer_member
     WHERE consumer_group = $1 AND expires_at < statement_timestamp() - interval '1 hour' RETURNING owner";

/// By request, so that the owner of the partition does it in the order of the key.
pub(super) const EXPIRE_DEAD: &str =
    "INSERT INTO {s}.consumer_request (consumer_group, topic, partition, held_id, action)
     SELECT consumer_group, topic, partition, id, 'discard' FROM {s}.consumer_held AS held
     WHERE consumer_group = $1 AND state = 'dead'
       AND last_failed_at < statement_timestamp() - make_interval(secs => $2)
       AND NOT EXISTS (SELECT FROM {s}.consumer_request AS request
                       WHERE request.held_id = held.id AND request.done_at IS NULL)
     ORDER BY last_failed_at LIMIT $3 RETURNING id";
