//! Where one value is, asked of the parser that read the file.
//!
//! It goes through all of the text for one answer, so it is only for what `places` does not find: its
//! parser is stricter, and stops at what the other forgives.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::finding::{Path, PathStep};

/// The byte at which the value at the path begins, or its key if the last step is to an entry by its
/// number; where it is not in the text, what should hold it.
pub(super) fn byte(text: &str, path: &Path, wants_key: bool) -> Option<usize> {
    (0..=path.0.len()).rev().find_map(|length| begins(text, path.0.get(..length)?, wants_key))
}

fn begins(text: &str, steps: &[PathStep], wants_key: bool) -> Option<usize> {
    let reached = Cell::new(false);
    let way = Way { steps, wants_key, reached: &reached };
    // An error is how the parser says where it is: one is made where the way ends.
    let error = way.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    reached.get().then(|| error.location())?.map(|location| location.index())
}

/// Goes the steps, and fails where they end.
#[derive(Clone, Copy)]
struct Way<'a> {
    steps: &'a [PathStep],
    wants_key: bool,
    reached: &'a Cell<bool>,
}

impl Way<'_> {
    fn rest(self) -> Self {
        Self { steps: self.steps.get(1..).unwrap_or_default(), ..self }
    }

    /// Whether the next step is to this entry.
    fn leads_to(self, place: usize, key: Option<&str>) -> bool {
        match self.steps.first() {
            Some(PathStep::Nth(wanted)) => *wanted == place,
            Some(PathStep::Key(wanted)) => key == Some(&**wanted),
            None => false,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Way<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.steps.is_empty() {
            self.reached.set(true);
            return Nothing.deserialize(deserializer);
        }
        deserializer.deserialize_any(self)
    }
}

/// Anything but a list or a mapping is an error, which is not where the way ends.
impl<'de> Visitor<'de> for Way<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or a mapping")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut place = 0;
        loop {
            let more = if self.leads_to(place, None) {
                list.next_element_seed(self.rest())?.is_some()
            } else {
                list.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                return Ok(());
            }
            place += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut place = 0;
        loop {
            if self.wants_key && *self.steps == [PathStep::Nth(place)] {
                self.reached.set(true);
                map.next_key_seed(Nothing)?;
            }
            let Some(key) = map.next_key_seed(Key)? else { return Ok(()) };
            if self.leads_to(place, key.as_deref()) {
                map.next_value_seed(self.rest())?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
            place += 1;
        }
    }
}

/// Takes no value: whatever comes is an error there.
struct Nothing;

impl<'de> DeserializeSeed<'de> for Nothing {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Nothing {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}

/// Takes a key: its text, or `None` if it is not text.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_where_it_begins_and_what_is_missing_at_what_should_hold_it() {
        let text = "é:\t1\nb: [\nx, {y: z}\n]\n5: n\n";
        let key = |key: &str| PathStep::Key(key.into());
        for (steps, wants_key, expected) in [
            (vec![key("é")], false, 4),
            (vec![key("b"), PathStep::Nth(0)], false, 11),
            (vec![key("b"), PathStep::Nth(1), key("y")], false, 18),
            (vec![key("b"), PathStep::Nth(1), PathStep::Nth(0)], true, 15),
            (vec![key("b"), PathStep::Nth(1), key("none"), key("none")], false, 14),
            (vec![key("b"), PathStep::Nth(7)], false, 9),
            (vec![PathStep::Nth(2)], false, 26),
            (vec![PathStep::Nth(2)], true, 23),
            (vec![key("none")], true, 0),
        ] {
            let path = Path(steps.into());
            assert_eq!(byte(text, &path, wants_key), Some(expected), "{path:?}");
        }
    }
}
