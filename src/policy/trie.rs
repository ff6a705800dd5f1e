//! An index of path patterns that finds every one that matches a path.
//!
//! A tree of segments: each node has literal children, one child for any segment, and entries that
//! end there or take any rest. A walk follows the literal and the any-child alike, so the answer is
//! the union that trying each pattern would give. Its cost grows with the path and the patterns that
//! overlap on it, not with how many there are.
//!
//! How a segment is written is for whoever fills and walks it: patterns and paths must agree.

use std::hash::{Hash, Hasher};
use std::ops::Range;

use hashbrown::{Equivalent, HashMap};

use super::{Pattern, Segment};

/// A node's place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeId(u32);

/// The frozen index.
#[derive(Debug)]
pub(super) struct Trie<E> {
    nodes: Box<[Node]>,
    literals: HashMap<LiteralKey, NodeId>,
    entries: Box<[E]>,
}

/// The index as it grows.
#[derive(Debug)]
pub(super) struct TrieBuilder<E> {
    nodes: Vec<Node>,
    literals: HashMap<LiteralKey, NodeId>,
    entries: Vec<(NodeId, Ending, E)>,
}

#[derive(Debug, Default)]
struct Node {
    any: Option<NodeId>,
    has_literals: bool,
    exact: Range<usize>,
    any_rest: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Exact,
    AnyRest,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LiteralKey(NodeId, Box<str>);

struct LiteralRef<'a>(NodeId, &'a str);

impl Hash for LiteralRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // INVARIANT: the same as the derived one of `LiteralKey`.
        self.0.hash(state);
        self.1.hash(state);
    }
}

impl Equivalent<LiteralKey> for LiteralRef<'_> {
    fn equivalent(&self, key: &LiteralKey) -> bool {
        self.0 == key.0 && *self.1 == *key.1
    }
}

impl<E> TrieBuilder<E> {
    pub(super) fn new() -> Self {
        Self { nodes: Vec::new(), literals: HashMap::new(), entries: Vec::new() }
    }

    /// A new tree beside those that are there; `None` if there are more nodes than can be counted.
    pub(super) fn root(&mut self) -> Option<NodeId> {
        let id = NodeId(u32::try_from(self.nodes.len()).ok()?);
        self.nodes.push(Node::default());
        Some(id)
    }

    /// Puts `entry` where `pattern` ends, without its first `skip` segments, which the root stands
    /// for; `None` if there are more nodes than can be counted.
    pub(super) fn insert(&mut self, root: NodeId, skip: usize, pattern: &Pattern, entry: E) -> Option<()> {
        let mut at = root;
        for segment in pattern.segments().get(skip..)? {
            at = match segment {
                Segment::Literal(text) => self.literal_child(at, text)?,
                Segment::Any | Segment::Capture(_) => self.any_child(at)?,
            };
        }
        let ending = if pattern.any_rest() { Ending::AnyRest } else { Ending::Exact };
        self.entries.push((at, ending, entry));
        Some(())
    }

    fn literal_child(&mut self, parent: NodeId, text: &str) -> Option<NodeId> {
        if let Some(child) = self.literals.get(&LiteralRef(parent, text)) {
            return Some(*child);
        }
        let child = self.root()?;
        self.literals.insert(LiteralKey(parent, text.into()), child);
        self.nodes.get_mut(parent.place())?.has_literals = true;
        Some(child)
    }

    fn any_child(&mut self, parent: NodeId) -> Option<NodeId> {
        if let Some(child) = self.nodes.get(parent.place())?.any {
            return Some(child);
        }
        let child = self.root()?;
        self.nodes.get_mut(parent.place())?.any = Some(child);
        Some(child)
    }

    /// Freezes it; entries of one place keep the order in which they came.
    pub(super) fn build(mut self) -> Trie<E> {
        self.entries.sort_by_key(|(node, ending, _)| (node.0, *ending));
        let mut entries = Vec::with_capacity(self.entries.len());
        for (node, ending, entry) in self.entries {
            if let Some(node) = self.nodes.get_mut(node.place()) {
                let range = match ending {
                    Ending::Exact => &mut node.exact,
                    Ending::AnyRest => &mut node.any_rest,
                };
                if range.start == range.end {
                    *range = entries.len()..entries.len();
                }
                range.end += 1;
            }
            entries.push(entry);
        }
        self.literals.shrink_to_fit();
        Trie { nodes: self.nodes.into(), literals: self.literals, entries: entries.into() }
    }
}

impl<E> Trie<E> {
    /// Every entry, in no order that means anything.
    pub(super) fn entries(&self) -> &[E] {
        &self.entries
    }

    /// Shows `found` every entry whose pattern matches a path from segment `depth` on.
    // Its depth is that of the deepest pattern, which `Pattern` bounds.
    pub(super) fn walk<'t, S: AsRef<str>>(
        &'t self,
        at: NodeId,
        path: &impl Fn(usize) -> Option<S>,
        depth: usize,
        found: &mut impl FnMut(&'t E),
    ) {
        let Some(node) = self.nodes.get(at.place()) else { return };
        self.entries_in(&node.any_rest).iter().for_each(&mut *found);
        let Some(segment) = path(depth) else {
            self.entries_in(&node.exact).iter().for_each(&mut *found);
            return;
        };
        if node.has_literals
            && let Some(child) = self.literals.get(&LiteralRef(at, segment.as_ref()))
        {
            self.walk(*child, path, depth + 1, found);
        }
        if let Some(child) = node.any {
            self.walk(child, path, depth + 1, found);
        }
    }

    fn entries_in(&self, range: &Range<usize>) -> &[E] {
        self.entries.get(range.clone()).unwrap_or_default()
    }
}

impl NodeId {
    fn place(self) -> usize {
        self.0 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Target;

    #[test]
    fn every_pattern_that_matches_is_found() {
        let patterns = ["/", "/**", "/a", "/a/*", "/a/{b}/**", "/*/b", "/a/b", "/a/b/c/**", "/*/*"];
        let mut builder = TrieBuilder::new();
        let root = builder.root().unwrap();
        for pattern in patterns {
            builder.insert(root, 0, &Pattern::parse(pattern).unwrap(), pattern).unwrap();
        }
        let trie = builder.build();
        for (path, mut expected) in [
            ("", vec!["/", "/**"]),
            ("a", vec!["/**", "/a"]),
            ("a/b", vec!["/**", "/a/*", "/a/{b}/**", "/*/b", "/a/b", "/*/*"]),
            ("x/b", vec!["/**", "/*/b", "/*/*"]),
            ("a/b/c", vec!["/**", "/a/{b}/**", "/a/b/c/**"]),
            ("a/b/c/d/e", vec!["/**", "/a/{b}/**", "/a/b/c/**"]),
            ("a/b/c/", vec!["/**", "/a/{b}/**", "/a/b/c/**"]),
            ("A", vec!["/**"]),
        ] {
            let mut found = Vec::new();
            let path = format!("/{path}");
            let target = Target::parse(path.as_bytes()).unwrap();
            trie.walk(root, &|place| target.segment(place), 0, &mut |entry| found.push(*entry));
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{path}");
        }
    }
}
