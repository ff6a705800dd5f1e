//! Changes to the text of a YAML file that leave all else of it as it is: comments, order, quoting,
//! blank lines and line ends.
//!
//! What is wanted is said as a value; how little of the text that takes is found out here. Whatever is
//! written is read again and must say just what is wanted, or nothing is changed: a layout that is not
//! understood costs a refusal, never a wrong file. It knows nothing of scopes.

mod difference;
mod layout;
mod render;
mod splice;
#[cfg(test)]
mod tests;

use serde_yaml::Value;
use thiserror::Error;

use self::difference::{Operation, first_difference};
use self::layout::Layout;

/// A step from a mapping or list to what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Nth(usize),
}

/// Why a text is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Unchangeable {
    /// It is not YAML that is understood here, whatever others make of it.
    #[error("the layout of the file is not understood")]
    Layout,
    /// What was written did not say what is wanted.
    #[error("the change cannot be written into this layout")]
    Different,
}

/// More steps than this, and the value is written anew as a whole.
const MOST_STEPS: usize = 32;

/// The text with `wanted` at `path`, where a value is already, and all else as it was.
pub(super) fn set(text: &str, path: &[Step], wanted: &Value) -> Result<String, Unchangeable> {
    let mut expected = value_of(text)?;
    *at_mut(&mut expected, path).ok_or(Unchangeable::Layout)? = wanted.clone();
    let mut changed = text.to_owned();
    for step in 0.. {
        let now = value_of(&changed)?;
        let Some(found) = first_difference(path, at(&now, path).ok_or(Unchangeable::Different)?, wanted) else { break };
        let operation = if step < MOST_STEPS { found } else { Operation::whole(path, wanted) };
        changed = splice::apply(&changed, &Layout::of(&changed)?, &operation)?;
        if step > MOST_STEPS {
            return Err(Unchangeable::Different);
        }
    }
    if value_of(&changed)? == expected { Ok(changed) } else { Err(Unchangeable::Different) }
}

/// The value that the text says.
pub(super) fn value_of(text: &str) -> Result<Value, Unchangeable> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_yaml::from_str(text).map_err(|_| Unchangeable::Layout)
}

/// The value there, if there is one.
pub(super) fn at<'v>(value: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.as_mapping()?.get(key.as_str()),
        Step::Nth(place) => value.as_sequence()?.get(*place),
    })
}

fn at_mut<'v>(value: &'v mut Value, path: &[Step]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.as_mapping_mut()?.get_mut(key.as_str()),
        Step::Nth(place) => value.as_sequence_mut()?.get_mut(*place),
    })
}

/// `apis[1].name`.
pub(super) fn shown(path: &[Step]) -> String {
    path.iter().fold(String::new(), |shown, step| match step {
        Step::Key(key) if shown.is_empty() => key.clone(),
        Step::Key(key) => format!("{shown}.{key}"),
        Step::Nth(place) => format!("{shown}[{place}]"),
    })
}
