/// Kafka Connect's converters of numbers and booleans. Each takes values of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberConverter {
    Short,
    Integer,
    Long,
    Float,
    Double,
    Boolean,
}

impl NumberConverter {
    /// Returns the converter of a class.
    pub(super) fn of_class(class: &str) -> Option<Self> {
        match class.strip_prefix("org.apache.kafka.connect.converters.")? {
            "ShortConverter" => Some(Self::Short),
            "IntegerConverter" => Some(Self::Integer),
            "LongConverter" => Some(Self::Long),
            "FloatConverter" => Some(Self::Float),
            "DoubleConverter" => Some(Self::Double),
            "BooleanConverter" => Some(Self::Boolean),
            _ => None,
        }
    }

    /// Returns Connect's name of the type that it takes.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Short => "int16",
            Self::Integer => "int32",
            Self::Long => "int64",
            Self::Float => "float",
            Self::Double => "double",
            Self::Boolean => "boolean",
        }
    }

    /// Returns the bytes of a value, given in Java's text form.
    pub(crate) fn write(self, text: &str) -> Option<Vec<u8>> {
        Some(match self {
            Self::Short => text.parse::<i16>().ok()?.to_be_bytes().into(),
            Self::Integer => text.parse::<i32>().ok()?.to_be_bytes().into(),
            Self::Long => text.parse::<i64>().ok()?.to_be_bytes().into(),
            Self::Float => text.parse::<f32>().ok()?.to_be_bytes().into(),
            Self::Double => text.parse::<f64>().ok()?.to_be_bytes().into(),
            Self::Boolean => vec![u8::from(text.parse::<bool>().ok()?)],
        })
    }

    /// Reads the bytes that [`write`](Self::write) returns.
    pub(crate) fn read(self, bytes: &[u8]) -> Option<String> {
        Some(match (self, bytes) {
            (Self::Short, _) => i16::from_be_bytes(bytes.try_into().ok()?).to_string(),
            (Self::Integer, _) => i32::from_be_bytes(bytes.try_into().ok()?).to_string(),
            (Self::Long, _) => i64::from_be_bytes(bytes.try_into().ok()?).to_string(),
            (Self::Float, _) => f32::from_be_bytes(bytes.try_into().ok()?).to_string(),
            (Self::Double, _) => f64::from_be_bytes(bytes.try_into().ok()?).to_string(),
            (Self::Boolean, [0]) => "false".to_owned(),
            (Self::Boolean, [1]) => "true".to_owned(),
            (Self::Boolean, _) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_kafka_s_serializers_do() {
        for (converter, text, bytes) in [
            (NumberConverter::Short, "-2", &[0xff, 0xfe][..]),
            (NumberConverter::Integer, "7", &[0, 0, 0, 7]),
            (NumberConverter::Long, "-1", &[0xff; 8]),
            (NumberConverter::Float, "1.5", &[0x3f, 0xc0, 0, 0]),
            (NumberConverter::Double, "1.5", &[0x3f, 0xf8, 0, 0, 0, 0, 0, 0]),
            (NumberConverter::Boolean, "true", &[1]),
        ] {
            assert_eq!(converter.write(text).as_deref(), Some(bytes), "{converter:?}");
            assert_eq!(converter.read(bytes).as_deref(), Some(text), "{converter:?}");
            assert_eq!((converter.write("x"), converter.read(&[0; 3])), (None, None), "{converter:?}");
        }
    }
}
