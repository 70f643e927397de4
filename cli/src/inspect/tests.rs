//! The screen as a terminal would show it.

use std::{fs, path::Path};

use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    style::Modifier,
};
use serde_json::{Value, json};

use super::{app::Focus, *};

/// `{"error":"no such rocket"}`
const BODY: &str = "eyJlcnJvciI6Im5vIHN1Y2ggcm9ja2V0In0=";

fn pair(second: u32, service: &str, status: &str, uri: &str) -> Value {
    json!({
        "direction": "IN", "service": service, "status": status, "command": "GET",
        "ts": format!("2026-09-01T10:00:{second:02}.000000000Z"), "duration": second,
        "http": {
            "req": { "host": "shop:8080", "uri": uri, "method": "GET",
                "headers": { "X-Odd": ["a\u{1b}[2Jb"] } },
            "res": { "statusCode": 500, "statusMessage": format!("{status} X"), "bodyBase64": BODY,
                "headers": { "Content-Type": ["application/json"] } },
        },
    })
}

struct Screen {
    app: App,
    terminal: Terminal<TestBackend>,
}

impl Screen {
    fn of(folder: &Path, pairs: &[Value], width: u16, height: u16) -> Self {
        for (number, pair) in pairs.iter().enumerate() {
            fs::write(folder.join(format!("{number:03}.json")), pair.to_string()).unwrap();
        }
        let index = Arc::new(RwLock::new(Index::default()));
        Loader::new(folder.to_owned(), Arc::clone(&index)).unwrap().run(false);
        let app = App::new(index, folder.to_owned(), String::new(), Style::PLAIN);
        let terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let mut screen = Self { app, terminal };
        screen.draw();
        screen
    }

    /// Draws until nothing changes.
    fn draw(&mut self) {
        while self.app.refresh() {}
        self.terminal.draw(|frame| self.app.draw(frame)).unwrap();
    }

    fn press(&mut self, keys: &str) -> Flow {
        let mut flow = Flow::Stay;
        for char in keys.chars() {
            let code = match char {
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                '\u{1b}' => KeyCode::Esc,
                '\u{8}' => KeyCode::Backspace,
                char => KeyCode::Char(char),
            };
            flow = self.app.key(KeyEvent::new(code, KeyModifiers::NONE));
            self.draw();
        }
        flow
    }

    fn text(&self) -> String {
        let buffer = self.terminal.backend().buffer();
        let width = usize::from(buffer.area.width);
        let lines = buffer.content.chunks(width);
        let lines = lines.map(|line| line.iter().map(ratatui::buffer::Cell::symbol).collect());
        lines.collect::<Vec<String>>().join("\n")
    }

    fn has(&self, text: &str) {
        assert!(self.text().contains(text), "no {text:?} in\n{}", self.text());
    }

    fn lacks(&self, text: &str) {
        assert!(!self.text().contains(text), "{text:?} in\n{}", self.text());
    }

    /// The text of the cells that are reversed.
    fn reversed(&self) -> String {
        let cells = self.terminal.backend().buffer().content.iter();
        let cells = cells.filter(|cell| cell.modifier.contains(Modifier::REVERSED));
        cells.map(ratatui::buffer::Cell::symbol).collect()
    }
}

fn few() -> Vec<Value> {
    vec![
        pair(3, "rocket", "500", "/api/rocket?id=falcon%7F"),
        pair(1, "rocket", "200", "/api/rocket?id=falcon"),
        pair(2, "auth", "404", "/login\u{202e}"),
    ]
}

#[test]
fn the_list_is_by_time_and_says_what_failed() {
    let folder = tempfile::tempdir().unwrap();
    let screen = Screen::of(folder.path(), &few(), 140, 20);
    screen.has("3 pairs, 1 failed");
    let text = screen.text();
    let places = ["10:00:01.000 IN  rocket", "10:00:02.000 IN  auth", "10:00:03.000 IN  rocket"]
        .map(|line| text.find(line).expect(line));
    assert!(places.is_sorted(), "{text}");
    screen.has(r"shop:8080/login\u{202e}");
    screen.has("! shop:8080/api/rocket?id=falcon%7F");
    assert!(screen.reversed().contains("%7F"));
}

#[test]
fn the_detail_shows_the_odd_byte_the_headers_and_every_form_of_the_body() {
    let folder = tempfile::tempdir().unwrap();
    let mut screen = Screen::of(folder.path(), &few(), 140, 40);
    screen.press("n\n");
    screen.has("control character in the URI: byte 0x7f (DEL) as %7F");
    screen.has(r"X-Odd: a\x1b[2Jb");
    screen.has("JSON, 26 bytes");
    screen.has(r#"  "error": "no such rocket""#);
    screen.press("b");
    screen.has(r#"{"error":"no such rocket"}"#);
    screen.press("b");
    screen.has("000000  7b 22 65 72 72 6f 72 22  3a 22 6e 6f 20 73 75 63  {\"error\":\"no suc");
    screen.has("000010  68 20 72 6f 63 6b 65 74  22 7d                    h rocket\"}");
    screen.press("\u{1b}");
    screen.lacks("000010");
}

#[test]
fn the_filter_is_that_of_the_web() {
    let folder = tempfile::tempdir().unwrap();
    let mut screen = Screen::of(folder.path(), &few(), 140, 20);
    screen.press("/status:4xx\n");
    screen.has("1 of 3 pairs, 0 failed");
    screen.has("by words");
    screen.lacks("falcon");
    screen.press("/\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}\u{8}status == '500'\n");
    screen.has("1 of 3 pairs, 1 failed");
    screen.has("CEL");
    // What is wrong is said, and the rows stay.
    screen.press("/ && nothing.like\n");
    screen.has("nothing");
    screen.has("1 of 3 pairs");
    screen.press("/zzz\u{1b}");
    assert_eq!(screen.app.filter, "status == '500' && nothing.like");
}

#[test]
fn keys_move_and_leave() {
    let folder = tempfile::tempdir().unwrap();
    let pairs: Vec<_> = (0..50)
        .map(|second| pair(second, "a", "200", &format!("/o/{second}")))
        .chain([pair(51, "a", "503", "/last")])
        .collect();
    let mut screen = Screen::of(folder.path(), &pairs, 100, 16);
    assert_eq!(screen.app.selected, 0);
    screen.press("jjk");
    assert_eq!(screen.app.selected, 1);
    screen.press(" ");
    assert_eq!(screen.app.selected, 12, "a screen of twelve rows, one of them kept");
    screen.press("G");
    screen.has("/last");
    screen.press("gn");
    assert_eq!(screen.app.selected, 50);
    screen.press("?");
    screen.has("next failing pair");
    screen.press("x\n\tk");
    assert_eq!((screen.app.selected, screen.app.focus), (49, Focus::List));
    screen.has("/o/49");
    assert_eq!(screen.press("q"), Flow::Leave);
}

#[test]
fn any_size_of_the_terminal_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    for (width, height) in [(1, 1), (8, 4), (20, 6), (80, 24), (300, 90)] {
        let mut screen = Screen::of(folder.path(), &few(), width, height);
        screen.press("jnG\njjGg\tb?");
    }
}

#[test]
fn an_empty_directory_and_one_that_is_missing_are_told() {
    let folder = tempfile::tempdir().unwrap();
    Screen::of(folder.path(), &[], 80, 10).has("there is no RRPair here");
    let missing = folder.path().join("none");
    let command =
        InspectCommand { directory: missing.clone(), filter: String::new(), follow: false };
    let error = format!("{:#}", command.run(Style::PLAIN).unwrap_err());
    assert!(error.contains(&missing.display().to_string()), "{error}");
}

#[test]
fn a_pair_that_is_gone_is_told_and_not_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut screen = Screen::of(folder.path(), &few(), 100, 20);
    for number in 0..3 {
        fs::remove_file(folder.path().join(format!("{number:03}.json"))).unwrap();
    }
    screen.press("\n");
    screen.has("No such file");
}
