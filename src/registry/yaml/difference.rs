//! What to do first so that one value becomes another: the smallest thing that is a change to it.

use serde_yaml::Value;

use super::Step;

/// A change to a text that does one thing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operation {
    /// The mapping at the path gets the key, or the key another value.
    SetKey(Vec<Step>, String, Value),
    /// The mapping at the path loses the key.
    RemoveKey(Vec<Step>, String),
    /// The list at the path gets an entry before that place.
    Insert(Vec<Step>, usize, Value),
    /// The list at the path loses the entry.
    Remove(Vec<Step>, usize),
    /// The entry of the list at the path, a scalar, becomes another.
    Replace(Vec<Step>, usize, Value),
}

impl Operation {
    /// Writes the value at the path anew.
    pub(super) fn whole(path: &[Step], wanted: &Value) -> Self {
        match path.split_last() {
            Some((Step::Key(key), above)) => Self::SetKey(above.to_vec(), key.clone(), wanted.clone()),
            Some((Step::Nth(place), above)) => Self::Replace(above.to_vec(), *place, wanted.clone()),
            None => Self::Replace(Vec::new(), 0, wanted.clone()),
        }
    }
}

/// What to do first; `None` if nothing is left to do.
pub(super) fn first_difference(path: &[Step], now: &Value, wanted: &Value) -> Option<Operation> {
    if now == wanted {
        return None;
    }
    match (now, wanted) {
        (Value::Mapping(own), Value::Mapping(other)) if !own.is_empty() && !other.is_empty() => {
            let below = |key: &Value| {
                let key = key.as_str()?.to_owned();
                Some([path, &[Step::Key(key)]].concat())
            };
            // What is new comes before what goes, so that no mapping is empty meanwhile.
            for (key, value) in other {
                match own.get(key) {
                    Some(old) => {
                        if let Some(found) = first_difference(&below(key)?, old, value) {
                            return Some(found);
                        }
                    }
                    None => return Some(Operation::SetKey(path.to_vec(), key.as_str()?.to_owned(), value.clone())),
                }
            }
            let gone = own.keys().find(|key| other.get(*key).is_none())?;
            Some(Operation::RemoveKey(path.to_vec(), gone.as_str()?.to_owned()))
        }
        (Value::Sequence(own), Value::Sequence(other)) if !own.is_empty() && !other.is_empty() => {
            list_difference(path, own, other)
        }
        _ => Some(Operation::whole(path, wanted)),
    }
}

fn list_difference(path: &[Step], own: &[Value], wanted: &[Value]) -> Option<Operation> {
    let same = own.iter().zip(wanted).take_while(|(own, wanted)| own == wanted).count();
    let path_of = || path.to_vec();
    match (own.get(same), wanted.get(same)) {
        (None, None) => None,
        (None, Some(new)) => Some(Operation::Insert(path_of(), same, new.clone())),
        (Some(_), None) => Some(Operation::Remove(path_of(), same)),
        (Some(old), Some(new)) => {
            let is_kept = wanted.iter().skip(same + 1).any(|other| other == old);
            let comes_later = own.iter().skip(same + 1).any(|other| other == new);
            let is_changed = !is_kept && !comes_later;
            match (old, new) {
                (Value::Mapping(_), Value::Mapping(_)) if is_changed => {
                    first_difference(&[path, &[Step::Nth(same)]].concat(), old, new)
                }
                _ if is_changed && !is_collection(old) && !is_collection(new) => {
                    Some(Operation::Replace(path_of(), same, new.clone()))
                }
                // Of two that are alike one may go while the other is kept.
                _ if comes_later && (!is_kept || own.len() > wanted.len()) => Some(Operation::Remove(path_of(), same)),
                _ => Some(Operation::Insert(path_of(), same, new.clone())),
            }
        }
    }
}

fn is_collection(value: &Value) -> bool {
    value.is_mapping() || value.is_sequence()
}
