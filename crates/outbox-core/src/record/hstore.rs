//! An `hstore` as Debezium's JSON: the order of members is that of Java's `HashMap`.

use super::json_writer::push_string;

/// Returns the JSON object of the pairs.
pub(crate) fn json(mut pairs: Vec<(String, Option<String>)>) -> String {
    let buckets = buckets(pairs.len());
    // Pairs of one bucket keep their order.
    pairs.sort_by_key(|(key, _)| bucket(key, buckets));

    let mut json = String::from("{");
    for (index, (key, value)) in pairs.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        push_string(&mut json, key);
        json.push(':');
        match value {
            Some(value) => push_string(&mut json, value),
            None => json.push_str("null"),
        }
    }

    json.push('}');
    json
}

/// Returns the number of buckets of a map that has grown to this number of pairs.
fn buckets(pairs: usize) -> u32 {
    let mut buckets = 16_u32;
    while pairs > buckets as usize / 4 * 3 {
        buckets *= 2;
    }
    buckets
}

fn bucket(key: &str, buckets: u32) -> u32 {
    let hash = key.encode_utf16().fold(0_u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    (hash ^ (hash >> 16)) & (buckets - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::hstore_pairs;

    #[test]
    fn members_are_in_the_order_of_java() {
        let json = |text: &str| json(hstore_pairs(text).unwrap());
        assert_eq!(json(""), "{}");
        // The hash codes are 98, 3104 and 97, in sixteen buckets.
        assert_eq!(json(r#""b"=>"1", "aa"=>NULL, "a"=>"2""#), r#"{"aa":null,"a":"2","b":"1"}"#);
    }
}
