//! The forward edges of all expanded states that a pass may ask for, in breadth-first order, a few bytes each.
//!
//! States are numbered in the order of their discovery. So the edge that discovers a state needs no number: it is the
//! next one. Any other edge leads to a state already numbered, and is written as the distance back from the newest
//! number. The edges that discover are the breadth-first tree: no parent links are stored.
//!
//! An edge is the varint of `1 + 3 * distance + role`, distance 0 for a discovery; a zero byte ends a state's list.
//! Every 64th state the position in the stream and the next number are noted, which makes the stream seekable.

use super::bits::WORD;
use super::checkable::Role;
use super::encoder::Encoder;

const SEGMENT_BYTES: usize = 1 << 20;
/// A block starts in a new segment when less than this is left; a longer block makes its segment grow.
const SLACK_BYTES: usize = 1 << 13;

pub(super) struct Edges {
    segments: Vec<Vec<u8>>,
    blocks: Vec<BlockStart>,
    /// States whose edges are written.
    sources: usize,
}

#[derive(Clone, Copy)]
struct BlockStart {
    segment: u32,
    offset: u32,
    next: u32,
}

/// The decoded edges of up to 64 consecutive states.
#[derive(Default)]
pub(super) struct Block {
    edges: Vec<(u32, Role)>,
    ends: Vec<usize>,
}

impl Block {
    /// Edges of the `at`th state of the block.
    pub(super) fn of(&self, at: usize) -> &[(u32, Role)] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.edges[start..self.ends[at]]
    }

    pub(super) fn sources(&self) -> usize {
        self.ends.len()
    }
}

/// The varint of `1 + 3 * distance + role` for a distance of 31 bits.
pub(super) const EDGE_BYTES_MAX: usize = 5;
impl Edges {
    pub(super) fn new() -> Self {
        Edges { segments: Vec::new(), blocks: Vec::new(), sources: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        let segments: usize = self.segments.iter().map(Vec::capacity).sum();
        segments + self.blocks.capacity() * size_of::<BlockStart>()
    }

    /// Bytes allocated once `sources` more states with `edges` edges are written.
    pub(super) fn bytes_for(&self, sources: usize, edges: usize) -> usize {
        let growth = sources + edges * EDGE_BYTES_MAX;
        let index = (self.blocks.len() + sources / WORD + 1) * 2 * size_of::<BlockStart>();
        let (used, held) = self.segments.last().map_or((0, 0), |last| (last.len(), last.capacity()));
        if used + growth + SLACK_BYTES <= SEGMENT_BYTES {
            // It stays in the last segment, which grows by doubling if it is the first.
            return self.bytes() + index + (used + growth).next_power_of_two().saturating_sub(held);
        }
        // A segment may end up half empty when chunks are large.
        let segments = growth.div_ceil(SEGMENT_BYTES / 2) + 1;
        self.bytes() + index + segments * SEGMENT_BYTES
    }

    /// Takes over the edges that `chunk` holds, of the states that follow those already here.
    pub(super) fn append(&mut self, chunk: &Encoder) {
        let (head, rest) = chunk.bytes.split_at(chunk.starts.first().map_or(chunk.bytes.len(), |start| start.0));
        if let Some(last) = self.segments.last_mut() {
            // The end of a block that an earlier chunk began: a block is never split.
            last.extend_from_slice(head);
        }
        if !chunk.starts.is_empty() {
            let has_room = |last: &Vec<u8>| last.len() + rest.len() + SLACK_BYTES <= SEGMENT_BYTES;
            if !self.segments.last().is_some_and(has_room) {
                // As in the arena: the first segment grows with its content.
                let bytes = if self.segments.is_empty() { 0 } else { SEGMENT_BYTES.max(rest.len() + SLACK_BYTES) };
                self.segments.push(Vec::with_capacity(bytes));
            }
            let segment = self.segments.len() - 1;
            let base = self.segments[segment].len();
            self.blocks.extend(chunk.starts.iter().map(|&(offset, next)| BlockStart {
                segment: segment as u32,
                offset: (base + offset - head.len()) as u32,
                next,
            }));
            self.segments[segment].extend_from_slice(rest);
        }
        self.sources = chunk.source;
    }

    /// Calls `see(source, target, role)` for every edge of the `at`th block of 64 states; `source` is its place there.
    #[inline]
    pub(super) fn scan(&self, at: usize, mut see: impl FnMut(usize, u32, Role)) {
        let BlockStart { segment, offset, mut next } = self.blocks[at];
        let mut bytes = self.segments[segment as usize][offset as usize..].iter();
        for source in 0..(self.sources - at * WORD).min(WORD) {
            loop {
                let code = read(&mut bytes);
                if code == 0 {
                    break;
                }
                let distance = ((code - 1) / Role::COUNT) as u32;
                see(source, next - distance, Role::from_code(code - 1));
                next += u32::from(distance == 0);
            }
        }
    }

    /// Decodes the `at`th block of 64 states.
    pub(super) fn read(&self, at: usize, block: &mut Block) {
        block.edges.clear();
        block.ends.clear();
        self.scan(at, |source, target, role| {
            block.ends.resize(source, block.edges.len());
            block.edges.push((target, role));
        });
        block.ends.resize((self.sources - at * WORD).min(WORD), block.edges.len());
    }

    #[cfg(test)]
    fn of(&self, source: u32) -> Vec<(u32, Role)> {
        let mut block = Block::default();
        self.read(source as usize / WORD, &mut block);
        block.of(source as usize % WORD).to_vec()
    }

    /// The state whose edge discovered `id`, if any did.
    pub(super) fn parent(&self, id: u32) -> Option<u32> {
        // The last block that starts at or before the discovery of `id`.
        let at = self.blocks.partition_point(|block| block.next <= id).checked_sub(1)?;
        let mut next = self.blocks[at].next;
        let mut block = Block::default();
        self.read(at, &mut block);
        for source in 0..block.sources() {
            for &(target, _) in block.of(source) {
                if target == next {
                    if target == id {
                        return Some((at * WORD + source) as u32);
                    }
                    next += 1;
                }
            }
        }
        None
    }
}

#[inline]
fn read<'a>(bytes: &mut impl Iterator<Item = &'a u8>) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = *bytes.next().expect("a list ends with a zero byte");
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::{Edges, Encoder, Role};

    #[test]
    fn reads_back_what_was_written_across_blocks_and_segments_and_knows_the_tree() {
        let (mut edges, mut chunk) = (Edges::new(), Encoder::new(true));
        let (mut next, mut expected, mut parents) = (1_u32, Vec::new(), vec![None]);
        chunk.restart(0, 1);
        for source in 0..300_000_u32 {
            let mut list = vec![(source, Role::Fault), (source / 2, Role::Environment), (0, Role::Step)];
            for at in 0..=usize::from(source % 3 == 0) {
                list.insert((source as usize + 2 * at) % 3, (next, Role::Step));
                next += 1;
                parents.push(Some(source));
            }
            chunk.write(list.iter().copied());
            // A fault that discovers nothing is not kept.
            list.retain(|&(_, role)| role != Role::Fault);
            expected.push(list);
            // Chunks shorter and longer than a block.
            if source % 1_000 == 999 || source % 1_000 < 20 {
                edges.append(&chunk);
                chunk.restart(source as usize + 1, next);
            }
        }
        for source in (0..300_000).step_by(997) {
            assert_eq!(edges.of(source), expected[source as usize]);
        }
        for id in (0..next).step_by(991) {
            assert_eq!(edges.parent(id), parents[id as usize]);
        }
        assert!(edges.bytes() > 300_000 * 8 && edges.bytes() < 300_000 * 16, "{}", edges.bytes());
    }

    #[test]
    fn without_all_edges_only_the_tree_is_kept() {
        let (mut edges, mut chunk) = (Edges::new(), Encoder::new(false));
        chunk.restart(0, 1);
        chunk.write([(0, Role::Step), (1, Role::Fault)].into_iter());
        edges.append(&chunk);
        assert_eq!(edges.of(0), [(1, Role::Fault)]);
        assert_eq!(edges.parent(1), Some(0));
        assert_eq!(edges.parent(0), None);
    }
}
