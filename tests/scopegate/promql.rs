//! What an expression of `PromQL` names: metrics with their matchers, and labels that it groups by.
//!
//! A lexer and what stands next to what; whether an expression is sound is for `promtool` to say.

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) selectors: Vec<Selector>,
    /// Of `by`, `without`, `on`, `ignoring` and `group_left` or `group_right`.
    pub(crate) labels: Vec<String>,
}

/// A metric, and what it is narrowed to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) metric: String,
    pub(crate) matchers: Vec<(String, String, String)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// A metric, label, function or word of the language.
    Word(String),
    Text(String),
    /// `=`, `!=`, `=~` or `!~`.
    Match(String),
    Mark(char),
}

/// Words of the language that stand where a metric could.
const WORDS: [&str; 9] = ["and", "or", "unless", "offset", "bool", "atan2", "inf", "nan", "start"];
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

pub(crate) fn named(expression: &str) -> Named {
    let mut tokens = tokens(expression).into_iter().peekable();
    let mut named = Named::default();
    while let Some(token) = tokens.next() {
        let Token::Word(word) = token else { continue };
        let opens = tokens.peek() == Some(&Token::Mark('('));
        if GROUPING.contains(&&*word.to_lowercase()) {
            if opens {
                let inside = tokens.by_ref().take_while(|token| *token != Token::Mark(')'));
                named
                    .labels
                    .extend(inside.filter_map(|token| if let Token::Word(label) = token { Some(label) } else { None }));
            }
        } else if !opens && !WORDS.contains(&&*word.to_lowercase()) && !is_aggregation(&word) {
            let mut matchers = Vec::new();
            if tokens.next_if_eq(&Token::Mark('{')).is_some() {
                while let Some(token) = tokens.next().filter(|token| *token != Token::Mark('}')) {
                    let Token::Word(label) = token else { continue };
                    match (tokens.next(), tokens.next()) {
                        (Some(Token::Match(operator)), Some(Token::Text(value))) => {
                            matchers.push((label, operator, value));
                        }
                        other => panic!("no matcher: {other:?} in {expression}"),
                    }
                }
            }
            named.selectors.push(Selector { metric: word, matchers });
        }
    }
    named
}

/// `sum by (a) (…)`: an aggregation whose grouping stands before its arguments.
fn is_aggregation(word: &str) -> bool {
    ["sum", "min", "max", "avg", "count", "topk", "bottomk", "quantile", "stddev", "stdvar", "group", "count_values"]
        .contains(&word)
}

fn tokens(expression: &str) -> Vec<Token> {
    let mut rest = expression.trim_start();
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let length = |is: fn(char) -> bool| rest.find(|c| !is(c)).unwrap_or(rest.len());
        let taken = match first {
            'a'..='z' | 'A'..='Z' | '_' | ':' => {
                let end = length(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
                tokens.push(Token::Word(rest[..end].to_owned()));
                end
            }
            // A number or a duration, and a variable of Grafana's.
            '0'..='9' | '.' => length(|c| c.is_ascii_alphanumeric() || c == '.'),
            '$' => 1 + rest[1..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len() - 1),
            // For how long, and in which steps.
            '[' => rest.find(']').map_or(rest.len(), |end| end + 1),
            '"' | '\'' | '`' => {
                let (mut text, mut escaped, mut end) = (String::new(), false, rest.len());
                for (at, c) in rest.char_indices().skip(1) {
                    match c {
                        '\\' if !escaped && first != '`' => escaped = true,
                        c if c == first && !escaped => {
                            end = at + 1;
                            break;
                        }
                        c => {
                            escaped = false;
                            text.push(c);
                        }
                    }
                }
                tokens.push(Token::Text(text));
                end
            }
            '#' => length(|c| c != '\n'),
            '=' | '!' => {
                let end = if rest[1..].starts_with(['~', '=']) { 2 } else { 1 };
                tokens.push(Token::Match(rest[..end].to_owned()));
                end
            }
            mark => {
                tokens.push(Token::Mark(mark));
                mark.len_utf8()
            }
        };
        rest = rest[taken..].trim_start();
    }
    tokens
}

#[test]
fn an_expression_names_its_metrics_and_labels_and_nothing_else() {
    let found = named(
        "histogram_quantile(0.99, sum by (instance, le) (rate(a_bucket{job=~\"$job\", x!='}'}[5m])))  # by (no)\n\
         / on(instance) group_left(version) b:c > 3 * avg_over_time(d[1h:5m] offset 1h) and sum(e) without (f) == bool 1e3",
    );
    let metrics: Vec<_> = found.selectors.iter().map(|selector| selector.metric.as_str()).collect();
    assert_eq!(metrics, ["a_bucket", "b:c", "d", "e"]);
    let text = str::to_owned;
    let matchers = [(text("job"), text("=~"), text("$job")), (text("x"), text("!="), text("}"))];
    assert_eq!(found.selectors[0].matchers, matchers);
    assert_eq!(found.labels, ["instance", "le", "instance", "version", "f"]);
}
