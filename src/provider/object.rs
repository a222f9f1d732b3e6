//! JSON objects that are objects: serde reads a struct from a list too, field by field in their order, and a list is no answer.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde::de::value::MapAccessDeserializer;

/// `T`, read from an object and from nothing else.
#[derive(Debug, Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MapsAlone(PhantomData))
    }
}

struct MapsAlone<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for MapsAlone<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Answer {
        result: String,
    }

    #[test]
    fn an_object_is_read_once_and_a_list_never() {
        let read = |text: &str| serde_json::from_str::<Object<Answer>>(text).map(|Object(answer)| answer.result).ok();
        assert_eq!(read(r#"{"result":"allow","more":[1]}"#).as_deref(), Some("allow"));
        for other in [r#"["allow"]"#, r#""allow""#, "null", "{}", r#"{"result":"deny","result":"allow"}"#, r#"{"result":"allow"} x"#] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
