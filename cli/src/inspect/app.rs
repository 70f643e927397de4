//! What is looked at, and what keys do to it.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::detail::{Detail, Form};
use crate::{
    browse::{
        index::Index,
        question::{Answers, Mode, Selection},
    },
    style::Style,
};

/// Whether to go on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Flow {
    Stay,
    Leave,
}

/// Where keys go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Focus {
    List,
    Filter,
    Detail,
    Help,
}

pub(super) struct App {
    pub(super) index: Arc<RwLock<Index>>,
    pub(super) directory: PathBuf,
    pub(super) style: Style,
    answers: Answers,
    /// The filter that the rows are of.
    pub(super) filter: String,
    /// What is being typed.
    pub(super) typed: String,
    pub(super) fault: Option<String>,
    /// The rows have to be found anew; it is said before it is done.
    pub(super) is_stale: bool,
    /// Version of the index that the rows are of.
    version: u64,
    pub(super) mode: Mode,
    pub(super) rows: Arc<[u32]>,
    pub(super) selected: usize,
    /// First row on the screen.
    pub(super) top: usize,
    /// Rows on the screen, as they were drawn last.
    pub(super) height: usize,
    pub(super) focus: Focus,
    pub(super) detail: Option<Detail>,
    pub(super) form: Form,
}

impl App {
    pub(super) fn new(
        index: Arc<RwLock<Index>>,
        directory: PathBuf,
        filter: String,
        style: Style,
    ) -> Self {
        Self {
            index,
            directory,
            style,
            answers: Answers::default(),
            typed: filter.clone(),
            filter,
            fault: None,
            is_stale: true,
            version: 0,
            mode: Mode::All,
            rows: Arc::new([]),
            selected: 0,
            top: 0,
            height: 1,
            focus: Focus::List,
            detail: None,
            form: Form::Pretty,
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the rows anew when the filter or the index has changed; says whether it has.
    pub(super) fn refresh(&mut self) -> bool {
        let index = Arc::clone(&self.index);
        let index = index.read().unwrap_or_else(PoisonError::into_inner);
        if !self.is_stale && self.version == index.version {
            return false;
        }
        let chosen = self.rows.get(self.selected).copied();
        self.is_stale = false;
        self.version = index.version;
        let found = self.answers.of(&index, &self.filter);
        drop(index); // it is read again below
        match found {
            Ok(Selection { mode, rows }) => {
                self.mode = mode;
                self.rows = rows;
                self.fault = None;
                // What was chosen stays chosen while rows come in.
                let place = chosen.and_then(|one| self.rows.iter().position(|row| *row == one));
                self.select(place.unwrap_or(self.selected));
            }
            Err(fault) => self.fault = Some(fault),
        }
        true
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Flow {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match (self.focus, key.code) {
            (_, KeyCode::Char('c')) if control => return Flow::Leave,
            (Focus::Filter, code) => self.type_key(code, control),
            (Focus::Help, _) => self.focus = Focus::List,
            (_, KeyCode::Char('q')) => return Flow::Leave,
            (_, KeyCode::Char('?')) => self.focus = Focus::Help,
            (_, KeyCode::Char('/')) => self.focus = Focus::Filter,
            (_, KeyCode::Char('b')) => self.turn(),
            (_, KeyCode::Char('n')) => self.next_failing(),
            (Focus::Detail, code) => self.detail_key(code),
            (Focus::List, code) => self.list_key(code),
        }
        Flow::Stay
    }

    fn type_key(&mut self, code: KeyCode, control: bool) {
        match code {
            KeyCode::Enter => {
                self.filter = self.typed.trim().to_owned();
                self.is_stale = true;
                self.focus = Focus::List;
            }
            KeyCode::Esc => {
                self.typed.clone_from(&self.filter);
                self.fault = None;
                self.focus = Focus::List;
            }
            KeyCode::Backspace => {
                self.typed.pop();
            }
            KeyCode::Char('u') if control => self.typed.clear(),
            KeyCode::Char(char) if !control => self.typed.push(char),
            _ => {}
        }
    }

    fn list_key(&mut self, code: KeyCode) {
        let screen = self.height.saturating_sub(1).max(1);
        match code {
            KeyCode::Down | KeyCode::Char('j') => self.select(self.selected + 1),
            KeyCode::Up | KeyCode::Char('k') => self.select(self.selected.saturating_sub(1)),
            KeyCode::PageDown | KeyCode::Char(' ') => self.select(self.selected + screen),
            KeyCode::PageUp => self.select(self.selected.saturating_sub(screen)),
            KeyCode::Home | KeyCode::Char('g') => self.select(0),
            KeyCode::End | KeyCode::Char('G') => self.select(usize::MAX),
            KeyCode::Enter | KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => self.open(),
            KeyCode::Esc => self.detail = None,
            _ => {}
        }
    }

    fn detail_key(&mut self, code: KeyCode) {
        let Some(detail) = &mut self.detail else {
            self.focus = Focus::List;
            return;
        };
        let screen = detail.height.saturating_sub(1).max(1);
        match code {
            KeyCode::Down | KeyCode::Char('j') => detail.scroll(1),
            KeyCode::Up | KeyCode::Char('k') => detail.scroll_back(1),
            KeyCode::PageDown | KeyCode::Char(' ') => detail.scroll(screen),
            KeyCode::PageUp => detail.scroll_back(screen),
            KeyCode::Home | KeyCode::Char('g') => detail.scroll_back(usize::MAX),
            KeyCode::End | KeyCode::Char('G') => detail.scroll(usize::MAX),
            KeyCode::Tab | KeyCode::Left | KeyCode::Char('h') => self.focus = Focus::List,
            KeyCode::Esc => {
                self.detail = None;
                self.focus = Focus::List;
            }
            _ => {}
        }
    }

    /// Chooses the row at this place, or the last.
    fn select(&mut self, place: usize) {
        self.selected = place.min(self.rows.len().saturating_sub(1));
        if self.detail.is_some() {
            self.show();
        }
    }

    fn open(&mut self) {
        self.show();
        if self.detail.is_some() {
            self.focus = Focus::Detail;
        }
    }

    /// Shows the chosen pair.
    fn show(&mut self) {
        let chosen = self.rows.get(self.selected).copied();
        if chosen.is_some() && chosen == self.detail.as_ref().map(|detail| detail.number) {
            return;
        }
        let index = self.read();
        let row = chosen.and_then(|number| Some((number, index.get(number)?)));
        let detail = row.map(|(number, row)| Detail::read(number, row, &self.directory));
        drop(index);
        self.detail = detail;
    }

    /// The next form of bodies.
    fn turn(&mut self) {
        self.form = self.form.next();
    }

    fn next_failing(&mut self) {
        let index = self.read();
        let failing = |number: &u32| index.get(*number).is_some_and(|row| row.failed);
        let after = self.rows.iter().skip(self.selected + 1).position(failing);
        let place = after.map(|more| self.selected + 1 + more);
        let place = place.or_else(|| self.rows.iter().position(failing));
        drop(index);
        if let Some(place) = place {
            self.select(place);
        }
    }
}
