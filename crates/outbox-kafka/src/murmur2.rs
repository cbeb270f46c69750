//! The choice of a partition as Kafka's own producer makes it for a record with a key.

/// Returns the partition of a key among this number of partitions; 0 if there are none.
pub fn partition(key: &[u8], partitions: i32) -> i32 {
    // Java's `toPositive` takes the sign bit off, which is not the absolute value.
    (murmur2(key) & i32::MAX).checked_rem(partitions).unwrap_or_default()
}

/// Computes the hash of Java's client, which chooses the partition of a key. Every producer of a topic must agree on
/// it.
fn murmur2(bytes: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    // Java's length is an int, so no key has 4 GiB.
    let mut hash = SEED ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }

    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    (hash ^ hash >> 15).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From `org.apache.kafka.common.utils.Utils` of Kafka 4.3.1: hash, and partition among 1, 3, 7, 12 and 100.
    const OF_JAVA: [(&[u8], i32, [i32; 5]); 12] = [
        (b"", 275_646_681, [0, 0, 2, 9, 81]),
        (b"a", -1_563_381_124, [0, 1, 5, 4, 24]),
        (b"ab", 316_155_434, [0, 2, 0, 2, 34]),
        (b"abc", 479_470_107, [0, 0, 4, 3, 7]),
        (b"abcd", -1_323_649_548, [0, 2, 5, 8, 0]),
        (b"21", -973_932_308, [0, 0, 3, 0, 40]),
        (b"foobar", -790_332_482, [0, 0, 0, 6, 66]),
        (b"a-little-bit-long-string", -985_981_536, [0, 2, 1, 8, 12]),
        (b"a-little-bit-longer-string", -1_486_304_829, [0, 2, 0, 11, 19]),
        (b"0192d3c4-7a5e-7b1c-8f2e-5a6b7c8d9e0f", -518_622_825, [0, 2, 2, 11, 23]),
        ("\u{fc}ber".as_bytes(), -1_718_265_917, [0, 0, 5, 3, 31]),
        (&[0xff, 0x80, 0x00, 0x81, 0x90], 408_480_240, [0, 0, 0, 0, 40]),
    ];

    #[test]
    fn the_partitions_are_those_of_java() {
        for (key, hash, partitions) in OF_JAVA {
            assert_eq!(murmur2(key), hash, "{key:?}");
            assert_eq!([1, 3, 7, 12, 100].map(|count| partition(key, count)), partitions, "{key:?}");
        }
    }

    #[test]
    fn no_partitions_are_no_panic() {
        assert_eq!(partition(b"key", 0), 0);
    }
}
