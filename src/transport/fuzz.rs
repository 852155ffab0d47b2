//! For tests: mutated versions of texts that receivers might send. `FUZZ_CASES=1000000` makes more of them
//! than an everyday run does.

/// Mutates known texts with a SplitMix64 generator, so a seed determines everything.
pub(crate) struct Fuzzer(u64);

impl Fuzzer {
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number in `0..bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    /// Returns one of the known texts, unchanged or with some bytes replaced, inserted, removed, repeated or
    /// cut off.
    pub(crate) fn text(&mut self, known: &[&[u8]]) -> Vec<u8> {
        let mut text = known[self.below(known.len())].to_vec();
        for _ in 0..self.below(5) {
            let at = self.below(text.len() + 1);
            let byte = match self.below(3) {
                0 => b"0123456789-+.,:; eE\r\n\0\t"[self.below(23)],
                1 => u8::try_from(self.below(256)).unwrap(),
                _ => text.get(self.below(text.len())).copied().unwrap_or(b' '),
            };
            match self.below(5) {
                0 => text.insert(at, byte),
                1 => text.truncate(at),
                2 => drop(text.drain(at..text.len().min(at + 3))),
                3 => text.extend_from_within(at..),
                _ => text.iter_mut().skip(at).take(1).for_each(|old| *old = byte),
            }
        }
        text
    }
}

/// Returns the number of cases to try: `FUZZ_CASES`, or `everyday` if it is not set.
#[expect(
    clippy::disallowed_methods,
    reason = "a switch for the person who runs the tests, not a configuration"
)]
pub(crate) fn cases(everyday: usize) -> usize {
    std::env::var("FUZZ_CASES").ok().and_then(|asked| asked.parse().ok()).unwrap_or(everyday)
}
