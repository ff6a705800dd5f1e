//! Which paths a pattern matches, and what is no pattern.

use super::*;

#[track_caller]
fn check(text: &str, expected: Result<&str, InvalidPattern>) {
    let seen = Service::parse(text).map(|service| format!("{} {}", service.methods(), service.pattern()));
    assert_eq!(seen, expected.map(str::to_owned), "{text}");
}

#[test]
fn services_are_read_in_every_form_that_the_file_may_have() {
    check("GET /x", Ok("GET /x"));
    check("GET,POST  /x", Ok("GET, POST /x"));
    check("GET x/y/", Ok("GET /x/y"));
    check("GET https://sub.example.com/integration/rest", Ok("GET /integration/rest"));
    check("GET https://sub.example.com", Ok("GET /"));
    check("GET https://sub.example.com:8443/x/", Ok("GET /x"));
    check("GET /a/{b}/*/**", Ok("GET /a/{b}/*/**"));
    check("GET /**", Ok("GET /**"));
    check("GET /", Ok("GET /"));
    check("GET /%61%20b", Ok("GET /a%20b"));
    for every in ["* /x", "/x", "x"] {
        assert_eq!(Service::parse(every).unwrap().methods(), MethodSet::ALL, "{every}");
    }
}

#[test]
fn what_is_no_service_is_refused_with_its_reason() {
    check("", Err(InvalidPattern::Empty));
    check("GET ", Err(InvalidPattern::NoPath("GET".into())));
    check("get /x", Err(InvalidPattern::Method("get".into())));
    check("GET, POST /x", Err(InvalidPattern::Method("".into())));
    check("TRACE /x", Err(InvalidPattern::NeverForwarded("TRACE".into())));
    check("GET /**/x", Err(InvalidPattern::RestNotLast));
    check("GET /a*", Err(InvalidPattern::PartialWildcard("a*".into())));
    check("GET /a{b}", Err(InvalidPattern::PartialWildcard("a{b}".into())));
    check("GET /{}", Err(InvalidPattern::CaptureName("{}".into())));
    check("GET /{a b}", Err(InvalidPattern::CaptureName("{a b}".into())));
    check("GET /{a}/{a}", Err(InvalidPattern::CaptureTwice("a".into())));
    check("GET /a?b", Err(InvalidPattern::NotPath('?')));
    for empty in ["/a//b", "//", "//a", "/a//", "a//", "://h/a", "https://", "https:///a", "1://h/a", "/x://h/a"] {
        check(&format!("GET {empty}"), Err(InvalidPattern::NeverJudged(PathFault::EmptySegment)));
    }
    check("GET /a/../b", Err(InvalidPattern::NeverJudged(PathFault::DotSegment)));
    let deep = |segments: usize| format!("GET {}", "/a".repeat(segments));
    assert!(Service::parse(&deep(64)).is_ok());
    check(&deep(65), Err(InvalidPattern::TooDeep(65)));
    check("GET /a;b", Err(InvalidPattern::NeverJudged(PathFault::MatrixParameter)));
}

#[test]
fn a_service_is_written_on_one_line() {
    check("GET \t/x", Ok("GET /x"));
    check("GET\n/x", Err(InvalidPattern::NeverJudged(PathFault::Control)));
    check("GET\u{2028}/x", Err(InvalidPattern::NeverJudged(PathFault::NonAscii)));
    for host in ["a\0", "a\u{7f}", "a\n", "\u{202e}a"] {
        check(&format!("https://{host}/x"), Err(InvalidPattern::NeverJudged(PathFault::EmptySegment)));
    }
}

#[test]
fn a_pattern_lies_under_a_base_only_by_literal_segments() {
    let base = BasePath::parse("/integration/x").unwrap();
    for (pattern, under) in [
        ("/integration/x", true),
        ("/integration/x/**", true),
        ("/integration/x/{a}", true),
        ("/integration/*", false),
        ("/integration/**", false),
        ("/integration/xy", false),
        ("/integration", false),
    ] {
        assert_eq!(Pattern::parse(pattern).unwrap().is_under(&base), under, "{pattern}");
    }
    assert!(Pattern::parse("/**").unwrap().is_under(&BasePath::default()));
}

#[test]
fn a_base_path_is_literal() {
    assert_eq!(BasePath::parse("/a/b/").unwrap().to_string(), "/a/b");
    assert_eq!(BasePath::parse("/").unwrap(), BasePath::default());
    assert_eq!(BasePath::parse("/a/*"), Err(InvalidPattern::NotLiteral("*".into())));
    assert_eq!(BasePath::parse("/a/**"), Err(InvalidPattern::NotLiteral("**".into())));
}
