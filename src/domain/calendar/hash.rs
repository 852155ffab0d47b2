//! Picks the number that `H` becomes: always the same for one cron's name, and spread out over different names, so that
//! a hundred daily crons do not all start at the same moment.

use super::field::Field;

/// Returns a number from `low` to `high`, both included. It is FNV-1a over the seed and the field's name, which is
/// stable across versions and machines; the standard library's hashers are not. croniter derives all fields from one
/// CRC, which leaves only 240 distinct pairs of hour and minute, so we do not follow it here.
pub(super) fn pick(seed: &str, field: Field, low: u16, high: u16) -> u16 {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    for byte in field.name().bytes().chain([0]).chain(seed.bytes()) {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // FNV's upper bits hardly depend on the last bytes of the seed, where names such as `digest-1` differ.
    state = (state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    state ^= state >> 33;
    let choices = u64::from(high.saturating_sub(low)) + 1;
    low + u16::try_from(state % choices).unwrap_or(0)
}
