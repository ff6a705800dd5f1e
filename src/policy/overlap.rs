//! How patterns lie to each other: which takes in all of another's paths, and which share some.

use super::{Pattern, Segment};

impl Pattern {
    /// Whether it takes every path that `other` does.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let (own, others) = (self.segments(), other.segments());
        let reaches = own.len() <= others.len()
            && own.iter().zip(others).all(|(own, other)| match own {
                Segment::Literal(_) => own == other,
                Segment::Any | Segment::Capture(_) => true,
            });
        reaches && (self.any_rest() || own.len() == others.len() && !other.any_rest())
    }

    /// Whether some path is taken by both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let (own, others) = (self.segments(), other.segments());
        let agree = own.iter().zip(others).all(|(own, other)| match (own, other) {
            (Segment::Literal(own), Segment::Literal(other)) => own == other,
            (Segment::Any | Segment::Capture(_), _) | (_, Segment::Any | Segment::Capture(_)) => true,
        });
        // The shorter one must take the longer one's rest.
        agree
            && match own.len().cmp(&others.len()) {
                std::cmp::Ordering::Equal => true,
                std::cmp::Ordering::Less => self.any_rest(),
                std::cmp::Ordering::Greater => other.any_rest(),
            }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::{
        ApiName, ApiSpec, BasePath, Identity, MethodSet, Policy, PolicySpec, Request, Service, Target, UpstreamId,
    };

    #[track_caller]
    fn check(one: &str, other: &str, covers: bool, meets: bool) {
        let (one, other) = (Pattern::parse(one).unwrap(), Pattern::parse(other).unwrap());
        assert_eq!((one.covers(&other), one.meets(&other)), (covers, meets), "{one} {other}");
        assert_eq!(other.meets(&one), meets, "{other} {one}");
    }

    #[test]
    fn a_pattern_covers_those_whose_every_path_it_takes() {
        check("/a", "/a", true, true);
        check("/a/*", "/a/{b}", true, true);
        check("/a/*", "/a/b", true, true);
        check("/a/b", "/a/*", false, true);
        check("/a/**", "/a", true, true);
        check("/a/**", "/a/b/**", true, true);
        check("/a/*", "/a/**", false, true);
        check("/a/b/**", "/a/**", false, true);
        check("/a/*/c", "/a/b/*", false, true);
        check("/a/b", "/a/c", false, false);
        check("/a", "/a/b", false, false);
        check("/**", "/", true, true);
    }

    /// Whether the policy itself takes the path under the pattern.
    fn takes(pattern: &str, path: &str) -> bool {
        let api = ApiSpec {
            public: vec![Service::parse(pattern).unwrap()],
            ..ApiSpec::new(ApiName::parse("a").unwrap(), BasePath::default(), UpstreamId(0))
        };
        let policy = Policy::compile(PolicySpec { apis: vec![api], ..PolicySpec::default() }).unwrap();
        let target = Target::parse(path.as_bytes()).unwrap();
        let headers = http::HeaderMap::new();
        let request = Request { method: MethodSet::of_request("GET"), target: &target, host: "a", headers: &headers };
        policy.decide(&policy.find(request).unwrap(), Identity::Absent).is_ok()
    }

    fn pattern() -> impl Strategy<Value = String> {
        let segment = prop::sample::select(vec!["a", "b", "*", "{x}"]);
        (prop::collection::vec(segment, 0..4), any::<bool>()).prop_map(|(mut segments, rest)| {
            let mut named = false;
            segments.retain(|segment| *segment != "{x}" || !std::mem::replace(&mut named, true));
            segments.extend(rest.then_some("**"));
            format!("/{}", segments.join("/"))
        })
    }

    proptest! {
        /// `c` stands for every segment that no pattern names, so these paths stand for all.
        #[test]
        fn covering_and_meeting_are_what_trying_paths_says(one in pattern(), other in pattern()) {
            let mut paths = vec!["/".to_owned()];
            let mut last = vec![String::new()];
            for _ in 0..4 {
                last = last.iter().flat_map(|path| ["a", "b", "c"].map(|next| format!("{path}/{next}"))).collect();
                paths.extend(last.iter().cloned());
            }
            let taken: Vec<_> = paths.iter().map(|path| (takes(&one, path), takes(&other, path))).collect();
            let (first, second) = (Pattern::parse(&one).unwrap(), Pattern::parse(&other).unwrap());
            prop_assert_eq!(first.covers(&second), taken.iter().all(|(one, other)| *one || !other));
            prop_assert_eq!(first.meets(&second), taken.iter().any(|(one, other)| *one && *other));
        }
    }
}
