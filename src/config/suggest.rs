//! The name that was meant.

/// The name nearest to `wanted`, if one is so near that it is likely to be meant.
pub(super) fn nearest<'n>(wanted: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let wanted = wanted.to_lowercase();
    let measured = names.into_iter().filter_map(|name| Some((distance(&wanted, &name.to_lowercase())?, name)));
    measured.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// How far a name is from the one that is wanted; `None` if that is too far.
fn distance(wanted: &str, name: &str) -> Option<usize> {
    let length = wanted.chars().count();
    let difference = name.chars().count().abs_diff(length);
    let most = 1 + length / 4;
    if difference > most {
        // The rest may have been forgotten.
        return (length > 3 && name.starts_with(wanted)).then_some(difference);
    }
    Some(strsim::osa_distance(wanted, name)).filter(|distance| *distance <= most)
}

/// How a suggestion is made.
pub(super) fn perhaps(near: &str) -> String {
    format!("perhaps `{near}` is meant")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_near_name_is_suggested() {
        let names = ["services", "scopes", "except", "required", "cache_for"];
        for (wanted, expected) in [
            ("service", Some("services")),
            ("servcies", Some("services")),
            ("Scopes", Some("scopes")),
            ("scope", Some("scopes")),
            ("exept", Some("except")),
            ("cache", Some("cache_for")),
            ("req", None),
            ("color", None),
            ("", None),
        ] {
            assert_eq!(nearest(wanted, names), expected, "{wanted}");
        }
    }
}
