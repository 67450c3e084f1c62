//! The patterns with wildcards, as a trie of tokens.
//!
//! The nodes are in one arena and the edges in one hash table, so that walking, pruning and dropping need no recursion,
//! however many tokens a pattern has. A walk visits each node at most once: it takes the edge of the subject's token and
//! that of `*`, and the nodes which it reaches are those of patterns that match the subject so far.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;

use super::listeners::Listeners;
use super::{Found, SPARSE, Subscriber};
use crate::subject::{has_no_empty_token, tokens};

const ROOT: usize = 0;
/// Stands for "no node".
const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Trie<S> {
    nodes: Slab<Node<S>>,
    /// The nodes that are reached by a literal token, found by parent and token.
    edges: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

/// 64 bytes with an 8-byte subscriber: one cache line.
#[derive(Debug)]
struct Node<S> {
    /// The literal token that leads here; empty at the root and where `*` leads.
    token: Box<[u8]>,
    parent: u32,
    /// The child for `*`.
    star: u32,
    /// How many children there are for literal tokens.
    literals: u32,
    /// Those whose pattern ends here.
    here: Listeners<S>,
    /// Those whose pattern ends with `>` after this.
    rest: Listeners<S>,
}

impl<S> Node<S> {
    fn new(parent: u32, token: Box<[u8]>) -> Self {
        Self { token, parent, star: NONE, literals: 0, here: Listeners::Nobody, rest: Listeners::Nobody }
    }
}

impl<S: Subscriber> Trie<S> {
    pub(super) fn new() -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Node::new(NONE, Box::default()));
        Self { nodes, edges: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.len() == 1 && self.nodes[ROOT].rest.is_nobody()
    }

    /// The listeners of this pattern, whose nodes are made where they are missing.
    pub(super) fn enter(&mut self, pattern: &[u8]) -> &mut Listeners<S> {
        let mut at = ROOT;
        for token in tokens(pattern) {
            if token == b">" {
                return &mut self.nodes[at].rest;
            }
            at = self.child(at, token).unwrap_or_else(|| self.grow(at, token));
        }
        &mut self.nodes[at].here
    }

    /// Changes the listeners of this pattern, and prunes what is empty then. False if the pattern is not there.
    pub(super) fn remove(&mut self, pattern: &[u8], change: impl FnOnce(&mut Listeners<S>) -> bool) -> bool {
        let mut at = ROOT;
        let mut open = false;
        for token in tokens(pattern) {
            if token == b">" {
                open = true;
                break;
            }
            let Some(child) = self.child(at, token) else { return false };
            at = child;
        }
        let node = &mut self.nodes[at];
        let changed = change(if open { &mut node.rest } else { &mut node.here });
        self.prune(at);
        changed
    }

    /// Adds everybody whose pattern matches. Empty tokens match nothing, not even `>`.
    pub(super) fn collect(&self, subject: &[u8], found: &mut Found<S>) {
        let mut sound = None;
        let mut stack = std::mem::take(&mut found.stack);
        stack.clear();
        stack.push((ROOT, 0));
        while let Some((at, from)) = stack.pop() {
            let left = &subject[from..];
            let length = left.iter().position(|byte| *byte == b'.').unwrap_or(left.len());
            if length == 0 {
                continue;
            }
            let node = &self.nodes[at];
            if !node.rest.is_nobody() && *sound.get_or_insert_with(|| has_no_empty_token(subject)) {
                found.add(&node.rest);
            }
            let literal = (node.literals > 0).then(|| self.edge(at, &left[..length])).flatten();
            for child in [literal, known(node.star)].into_iter().flatten() {
                if length == left.len() {
                    found.add(&self.nodes[child].here);
                } else {
                    stack.push((child, from + length + 1));
                }
            }
        }
        found.stack = stack;
    }

    fn child(&self, at: usize, token: &[u8]) -> Option<usize> {
        if token == b"*" { known(self.nodes[at].star) } else { self.edge(at, token) }
    }

    fn edge(&self, at: usize, token: &[u8]) -> Option<usize> {
        let parent = small(at);
        let is_it = |child: &u32| {
            let node = &self.nodes[*child as usize];
            node.parent == parent && *node.token == *token
        };
        self.edges.find(hash(&self.hasher, parent, token), is_it).map(|child| *child as usize)
    }

    fn grow(&mut self, at: usize, token: &[u8]) -> usize {
        let star = token == b"*";
        let parent = small(at);
        let child = self.nodes.insert(Node::new(parent, if star { Box::default() } else { token.into() }));
        if star {
            self.nodes[at].star = small(child);
        } else {
            self.nodes[at].literals += 1;
            let (nodes, hasher) = (&self.nodes, &self.hasher);
            self.edges.insert_unique(hash(hasher, parent, token), small(child), |it| rehash(nodes, hasher, *it));
        }
        child
    }

    /// Takes away this node and those above it for as long as they lead nowhere.
    fn prune(&mut self, mut at: usize) {
        while at != ROOT {
            let node = &self.nodes[at];
            if !node.here.is_nobody() || !node.rest.is_nobody() || node.star != NONE || node.literals > 0 {
                break;
            }
            let parent = node.parent as usize;
            if self.nodes[parent].star == small(at) {
                self.nodes[parent].star = NONE;
            } else {
                let hash = rehash(&self.nodes, &self.hasher, small(at));
                if let Ok(edge) = self.edges.find_entry(hash, |child| *child == small(at)) {
                    edge.remove();
                }
                self.nodes[parent].literals -= 1;
            }
            self.nodes.remove(at);
            at = parent;
        }
        if self.nodes.capacity() > SPARSE && self.nodes.len() * 4 < self.nodes.capacity() {
            self.compact();
        }
    }

    /// Moves the nodes together, so that the arena can shrink.
    fn compact(&mut self) {
        let old = std::mem::take(&mut self.nodes);
        let mut moved = vec![NONE; old.iter().next_back().map_or(0, |(last, _)| last + 1)];
        self.nodes.reserve(old.len() * 2);
        for (from, node) in old {
            moved[from] = small(self.nodes.insert(node));
        }
        let to = |from: u32| known(from).map_or(NONE, |from| moved[from]);
        for (_, node) in &mut self.nodes {
            (node.parent, node.star) = (to(node.parent), to(node.star));
        }
        let (nodes, hasher) = (&self.nodes, &self.hasher);
        let mut edges = HashTable::with_capacity(self.edges.len() * 2);
        for child in &self.edges {
            let child = to(*child);
            edges.insert_unique(rehash(nodes, hasher, child), child, |it| rehash(nodes, hasher, *it));
        }
        self.edges = edges;
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> (usize, usize) {
        (self.nodes.len(), self.nodes.capacity().max(self.edges.capacity()))
    }
}

fn hash(hasher: &DefaultHashBuilder, parent: u32, token: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write_u32(parent);
    state.write(token);
    state.finish()
}

fn rehash<S>(nodes: &Slab<Node<S>>, hasher: &DefaultHashBuilder, child: u32) -> u64 {
    let node = &nodes[child as usize];
    hash(hasher, node.parent, &node.token)
}

fn known(node: u32) -> Option<usize> {
    (node != NONE).then_some(node as usize)
}

fn small(node: usize) -> u32 {
    u32::try_from(node).expect("fewer than 2^32 nodes")
}
