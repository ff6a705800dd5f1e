//! The name that was meant.

/// The name nearest to `wanted`, if one is so near that it is likely to be meant.
pub(super) fn nearest<'n>(wanted: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let wanted = wanted.to_lowercase();
    let length = wanted.chars().count();
    let most = 1 + length / 4;
    let near = names.into_iter().filter(|name| name.chars().count().abs_diff(length) <= most);
    let measured = near.map(|name| (strsim::osa_distance(&wanted, &name.to_lowercase()), name));
    measured.filter(|(distance, _)| *distance <= most).min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
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
        let names = ["services", "scopes", "except", "required"];
        for (wanted, expected) in [
            ("service", Some("services")),
            ("servcies", Some("services")),
            ("Scopes", Some("scopes")),
            ("scope", Some("scopes")),
            ("exept", Some("except")),
            ("color", None),
            ("", None),
        ] {
            assert_eq!(nearest(wanted, names), expected, "{wanted}");
        }
    }
}
