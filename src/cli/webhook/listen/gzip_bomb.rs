//! An endless gzip stream of zeros, made by hand: 13 bits for every 258 zeros (RFC 1951 §3.2.6).

use axum::body::Bytes;

/// A match of length 258, `11000101`, and of distance 1, `00000`; first bit first.
const MATCH: [bool; 13] = {
    let (l, o) = (true, false);
    [l, l, o, o, o, l, o, l, o, o, o, o, o]
};
/// Matches in one piece: a multiple of 8, so that each piece begins at the same bit.
const MATCHES: usize = 8 * 1024;

/// Returns the header, the first zero and the matches up to where [`more`] continues.
pub(super) fn beginning() -> Bytes {
    // RFC 1952 §2.3: deflate, no flags, no time, no operating system.
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    bytes.extend(packed(LEAD.into_iter().chain(MATCH.into_iter().cycle().take(5))));
    Bytes::from(bytes)
}

/// Returns the next piece. It may be sent any number of times.
pub(super) fn more() -> Bytes {
    Bytes::from(packed(MATCH.into_iter().cycle().skip(5).take(MATCH.len() * MATCHES)))
}

/// A block that is not the last one, with fixed codes, and the literal 0: three bits and eight.
const LEAD: [bool; 11] = {
    let (l, o) = (true, false);
    [o, l, o, o, o, l, l, o, o, o, o]
};

/// Packs bits into bytes, the lowest bit first.
fn packed(bits: impl Iterator<Item = bool>) -> Vec<u8> {
    let bits: Vec<bool> = bits.collect();
    let byte = |bits: &[bool]| bits.iter().rev().fold(0_u8, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks(8).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    /// Python's gzip library is what a careless sender would use.
    const UNPACK: &str = "import sys, zlib; unpacked = zlib.decompressobj(31).decompress(sys.stdin.buffer.read()); \
                          print(len(unpacked), len(unpacked.strip(b'\\0')))";

    #[test]
    fn it_unpacks_to_zeros_and_nothing_else() {
        let mut python = Command::new("python3");
        python.args(["-c", UNPACK]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut unpack = python.spawn().expect("python3 is there, as for the other tests");
        let mut bomb = unpack.stdin.take().unwrap();
        let sent = [beginning(), more(), more()].concat();
        bomb.write_all(&sent).unwrap();
        drop(bomb);
        let printed = String::from_utf8(unpack.wait_with_output().unwrap().stdout).unwrap();
        let (zeros, others) = printed.trim().split_once(' ').unwrap();
        assert_eq!(others, "0");
        assert!(zeros.parse::<usize>().unwrap() > 150 * sent.len(), "{zeros} from {}", sent.len());
    }
}
