//! Which apis a path leads to, by their base paths alone.

use hashbrown::HashMap;
use matchit::Router;

use super::{ApiId, BasePath, Target, Unindexable};

/// Each distinct base path leads to every api whose base it lies under, so that the longest base
/// under which a target lies stands for all of them.
#[derive(Debug)]
pub(super) struct Bases {
    router: Router<Box<[ApiId]>>,
    /// How many segments the bases have, the most first.
    lengths: Box<[usize]>,
}

impl Bases {
    /// Of the apis' bases, in the order of the file.
    pub(super) fn new(bases: &[BasePath]) -> Result<Self, Unindexable> {
        let mut under: HashMap<&BasePath, Vec<ApiId>> = HashMap::new();
        for (place, base) in (0u32..).zip(bases) {
            under.entry(base).or_default().push(ApiId(place));
        }
        let mut router = Router::new();
        for base in under.keys() {
            let ids: Box<[ApiId]> =
                base.self_and_ancestors().filter_map(|ancestor| under.get(&ancestor)).flatten().copied().collect();
            let route = base.to_string();
            router.insert(route.clone(), ids).map_err(|_| Unindexable::BasePath(route.into()))?;
        }
        let mut lengths: Vec<usize> = under.keys().map(|base| base.segments().len()).collect();
        lengths.sort_unstable_by(|one, other| other.cmp(one));
        lengths.dedup();
        Ok(Self { router, lengths: lengths.into() })
    }

    /// The apis under whose base path the target lies, the most specific first.
    // A catch-all route for each base would need one look-up, and allocate where bases lie within
    // each other: the router keeps what it passes by.
    pub(super) fn at(&self, target: &Target<'_>) -> &[ApiId] {
        let found = self.lengths.iter().find_map(|length| self.router.at(target.first(*length)?).ok());
        found.map_or(&[], |found| found.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bases: &[&str], paths: &[(&str, &[u32])]) {
        let parsed: Vec<_> = bases.iter().map(|base| BasePath::parse(base).unwrap()).collect();
        let bases = Bases::new(&parsed).unwrap();
        for (path, expected) in paths {
            let target = Target::parse(path.as_bytes()).unwrap();
            let found: Vec<_> = bases.at(&target).iter().map(|api| api.0).collect();
            assert_eq!(found, *expected, "{path}");
        }
    }

    #[test]
    fn the_longest_base_comes_first_and_then_those_that_it_lies_under() {
        check(
            &["/", "/a/b", "/a", "/ab", "/a", "/a/b/c/d"],
            &[
                ("/", &[0]),
                ("/a", &[2, 4, 0]),
                ("/a/", &[2, 4, 0]),
                ("/a/bc", &[2, 4, 0]),
                ("/a/b", &[1, 2, 4, 0]),
                ("/a/b/c", &[1, 2, 4, 0]),
                ("/a/b/c/d/e/", &[5, 1, 2, 4, 0]),
                ("/ab/b", &[3, 0]),
                ("/abc", &[0]),
                ("/A", &[0]),
            ],
        );
    }

    #[test]
    fn a_path_outside_every_base_leads_nowhere() {
        check(
            &["/a/b", "/c"],
            &[("/", &[]), ("/a", &[]), ("/a/c", &[]), ("/b/a/b", &[]), ("/c", &[1]), ("/c/d", &[1])],
        );
        check(&[], &[("/", &[]), ("/a", &[])]);
    }

    #[test]
    fn what_the_router_would_take_for_a_pattern_is_literal() {
        check(&["/a:b", "/:id", "/a%20b", "/(x)"], &[("/a:b", &[0]), ("/x", &[]), ("/:id/y", &[1]), ("/a%20b", &[2])]);
    }
}
