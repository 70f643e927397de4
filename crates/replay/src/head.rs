//! A message head as lines that can be changed one by one; every other byte stays.

#[cfg(test)]
mod tests;

use std::iter;

/// Start line and field lines, each with the line end that it came with.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Head {
    /// All of them, in one piece: most heads are read and never changed.
    text: Vec<u8>,
}

impl Head {
    /// Takes raw bytes apart. What follows the empty line is left out; a head that does not end
    /// in one is taken as it is, and [`Head::to_bytes`] ends it.
    pub fn from_raw(raw: &[u8]) -> Self {
        let before_the_empty_line = lines(raw).take_while(|line| !line.trim_ascii_end().is_empty());
        let length = before_the_empty_line.map(<[u8]>::len).sum();
        let mut head = Self { text: raw.get(..length).unwrap_or_default().to_vec() };
        if head.text.is_empty() {
            head.set_start(b""); // fields are told from the start line by their place
        }
        head
    }

    /// A head with this start line and no fields.
    pub fn new(start: &[u8]) -> Self {
        Self { text: [start, b"\r\n"].concat() }
    }

    /// The start line without its end.
    pub fn start(&self) -> &[u8] {
        self.start_line().trim_ascii_end()
    }

    fn start_line(&self) -> &[u8] {
        lines(&self.text).next().unwrap_or_default()
    }

    /// Puts another start line in place.
    pub fn set_start(&mut self, start: &[u8]) {
        self.text.splice(..self.start_line().len(), [start, b"\r\n"].concat());
    }

    /// Adds a field line at the end.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        self.end_last_line();
        self.text.extend(field_line(name.as_bytes(), value));
    }

    /// Adds a field line before all others.
    pub fn push_first(&mut self, name: &str, value: &[u8]) {
        self.end_last_line();
        let at = self.start_line().len();
        self.text.splice(at..at, field_line(name.as_bytes(), value));
    }

    /// Value of the first field of this name, whatever its case.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.fields().find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v)
    }

    /// Names and values in order; blanks around values left out. Lines without a colon, and
    /// those that go on with the value of the one before, are skipped.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        lines(&self.text).skip(1).filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            let (name, value) = line.split_at_checked(colon)?;
            let folded = name.first().is_none_or(u8::is_ascii_whitespace);
            (!folded).then(|| (name, value.get(1..).unwrap_or_default().trim_ascii()))
        })
    }

    /// True when a field of this name lists `item`, whatever their case.
    pub fn lists(&self, name: &str, item: &str) -> bool {
        self.fields()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))
            .flat_map(|(_, value)| value.split(|&byte| byte == b','))
            .any(|listed| listed.trim_ascii().eq_ignore_ascii_case(item.as_bytes()))
    }

    /// Changes the value of the first field of this name and removes its others, or adds it.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        let mut text = Vec::with_capacity(self.text.len() + name.len() + value.len() + 4);
        let mut found = false;
        for (number, line) in lines(&self.text).enumerate() {
            match name_of(number, line).filter(|key| key.eq_ignore_ascii_case(name.as_bytes())) {
                None => text.extend_from_slice(line),
                Some(_) if found => {}
                Some(key) => {
                    text.extend(field_line(key, value));
                    found = true;
                }
            }
        }
        self.text = text;
        if !found {
            self.push(name, value);
        }
    }

    /// A head that was cut within a line must not swallow the next one.
    fn end_last_line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with(b"\n") {
            self.text.extend_from_slice(b"\r\n");
        }
    }

    /// Removes every field of this name.
    pub fn remove(&mut self, name: &str) {
        let stays = |(number, line): &(usize, &[u8])| {
            let key = name_of(*number, line);
            key.is_none_or(|key| !key.eq_ignore_ascii_case(name.as_bytes()))
        };
        let left = lines(&self.text).enumerate().filter(stays);
        self.text = left.flat_map(|(_, line)| line.iter().copied()).collect();
    }

    /// The bytes, with the empty line that ends a head.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.text.len() + 4);
        bytes.extend_from_slice(&self.text);
        if !bytes.ends_with(b"\n") {
            bytes.extend_from_slice(b"\r\n");
        }
        // A line end as the head itself has it: bare line feeds stay bare.
        let bare = self.text.ends_with(b"\n") && !self.text.ends_with(b"\r\n");
        bytes.extend_from_slice(if bare { b"\n" } else { b"\r\n" });
        bytes
    }
}

/// Each with its end.
fn lines(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at_checked(end)?;
        rest = after;
        (!line.is_empty()).then_some(line)
    })
}

fn field_line(name: &[u8], value: &[u8]) -> Vec<u8> {
    [name, b": ", value, b"\r\n"].concat()
}

/// Name of the field that starts on this line.
fn name_of(number: usize, line: &[u8]) -> Option<&[u8]> {
    let colon = memchr::memchr(b':', line)?;
    let name = line.get(..colon)?;
    (number > 0 && !name.first().is_none_or(u8::is_ascii_whitespace)).then_some(name)
}
