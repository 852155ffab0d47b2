//! Text that others wrote, made fit for a terminal, a log and a file: it cannot start a line, move the cursor, reorder
//! what stands around it, or hide.

/// Returns whether a character is not itself visible, but changes what is shown: a control character, a line or
/// paragraph separator, a direction of writing, or a character without width.
///
/// These are Unicode's `Cc`, `Zl`, `Zp` and `Default_Ignorable_Code_Point`, but for the variation selectors that emoji
/// end with.
pub fn is_unprintable(char: char) -> bool {
    let invisible = matches!(char, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    char.is_control() || invisible
}

/// Returns the text on one line, with every unprintable character escaped.
pub fn on_one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if is_unprintable(char) {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}

/// Returns the text with its lines kept, and every other unprintable character escaped.
pub fn on_lines(text: &str) -> String {
    text.lines().map(on_one_line).collect::<Vec<_>>().join("\n")
}

/// Returns the text on one line, with a space for each unprintable character, so that its columns stay where they are.
pub fn blanked(text: &str) -> String {
    text.chars().map(|char| if is_unprintable(char) { ' ' } else { char }).collect()
}

/// Returns a JSON text that has the same meaning, with every unprintable character escaped as JSON escapes it.
pub fn in_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for char in json.chars() {
        // Outside its strings JSON has line ends at most.
        if is_unprintable(char) && char != '\n' {
            let mut units = [0; 2];
            char.encode_utf16(&mut units).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")));
        } else {
            shown.push(char);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_invisible_is_escaped_and_what_is_visible_stays() {
        for (text, expected) in [
            ("Grüße, 日本語, ❤\u{fe0f}, عربى, a\u{301}", "Grüße, 日本語, ❤\u{fe0f}, عربى, a\u{301}"),
            ("a\r\nb\nc\rd", "a\nb\nc\\rd"),
            ("\u{1b}[2J\u{9b}31m\u{7f}\t\0", "\\u{1b}[2J\\u{9b}31m\\u{7f}\\t\\u{0}"),
            ("\u{202e}a\u{2066}b\u{2069}\u{200f}\u{61c}", "\\u{202e}a\\u{2066}b\\u{2069}\\u{200f}\\u{61c}"),
            (
                "\u{200b}a\u{feff}b\u{ad}\u{2060}\u{3164}\u{e0041}",
                "\\u{200b}a\\u{feff}b\\u{ad}\\u{2060}\\u{3164}\\u{e0041}",
            ),
            ("a\u{2028}b\u{2029}c\u{85}d\u{b}\u{c}", "a\\u{2028}b\\u{2029}c\\u{85}d\\u{b}\\u{c}"),
        ] {
            assert_eq!(on_lines(text), expected, "{text:?}");
            assert!(!on_one_line(text).contains('\n') && !blanked(text).contains(is_unprintable), "{text:?}");
            assert_eq!(blanked(text).chars().count(), text.chars().count());
            let json = serde_json::to_string(text).unwrap();
            let escaped = in_json(&json);
            assert!(!escaped.contains(is_unprintable), "{escaped:?}");
            assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        }
        assert_eq!(in_json("\"\u{9b}\u{e0041}\"\n"), "\"\\u009b\\udb40\\udc41\"\n");
    }
}
