//! A message head as lines that can be changed one by one; every other byte stays.

#[cfg(test)]
mod tests;

/// Start line and field lines, each with the line end that it came with.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Head {
    lines: Vec<Vec<u8>>,
}

impl Head {
    /// Takes raw bytes apart. What follows the empty line is left out; a head that does not end
    /// in one is taken as it is, and [`Head::to_bytes`] ends it.
    pub fn from_raw(raw: &[u8]) -> Self {
        let lines = raw.split_inclusive(|&byte| byte == b'\n');
        let lines = lines.take_while(|line| !line.trim_ascii_end().is_empty());
        let mut head = Self { lines: lines.map(<[u8]>::to_vec).collect() };
        if head.lines.is_empty() {
            head.set_start(b""); // fields are told from the start line by their place
        }
        head
    }

    /// A head with this start line and no fields.
    pub fn new(start: &[u8]) -> Self {
        Self { lines: vec![[start, b"\r\n"].concat()] }
    }

    /// The start line without its end.
    pub fn start(&self) -> &[u8] {
        self.lines.first().map_or(&[], |line| line.trim_ascii_end())
    }

    /// Puts another start line in place.
    pub fn set_start(&mut self, start: &[u8]) {
        let line = [start, b"\r\n"].concat();
        match self.lines.first_mut() {
            Some(first) => *first = line,
            None => self.lines.push(line),
        }
    }

    /// Adds a field line at the end.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        self.end_last_line();
        self.lines.push(field_line(name.as_bytes(), value));
    }

    /// Adds a field line before all others.
    pub fn push_first(&mut self, name: &str, value: &[u8]) {
        self.end_last_line();
        self.lines.insert(self.lines.len().min(1), field_line(name.as_bytes(), value));
    }

    /// Value of the first field of this name, whatever its case.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.fields().find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| v)
    }

    /// Names and values in order; blanks around values left out. Lines without a colon, and
    /// those that go on with the value of the one before, are skipped.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines.iter().skip(1).filter_map(|line| {
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
        let mut found = false;
        self.lines = std::mem::take(&mut self.lines)
            .into_iter()
            .enumerate()
            .filter_map(|(number, line)| {
                let Some(key) = name_of(number, &line) else { return Some(line) };
                if !key.eq_ignore_ascii_case(name.as_bytes()) {
                    return Some(line);
                }
                let changed = (!found).then(|| field_line(key, value));
                found = true;
                changed
            })
            .collect();
        if !found {
            self.push(name, value);
        }
    }

    /// A head that was cut within a line must not swallow the next one.
    fn end_last_line(&mut self) {
        if let Some(last) = self.lines.last_mut()
            && !last.ends_with(b"\n")
        {
            last.extend_from_slice(b"\r\n");
        }
    }

    /// Removes every field of this name.
    pub fn remove(&mut self, name: &str) {
        let mut number = 0;
        self.lines.retain(|line| {
            let key = name_of(number, line);
            number += 1;
            key.is_none_or(|key| !key.eq_ignore_ascii_case(name.as_bytes()))
        });
    }

    /// The bytes, with the empty line that ends a head.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.lines.concat();
        if !bytes.ends_with(b"\n") {
            bytes.extend_from_slice(b"\r\n");
        }
        // A line end as the head itself has it: bare line feeds stay bare.
        let bare =
            self.lines.last().is_some_and(|line| line.ends_with(b"\n") && !line.ends_with(b"\r\n"));
        bytes.extend_from_slice(if bare { b"\n" } else { b"\r\n" });
        bytes
    }
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
