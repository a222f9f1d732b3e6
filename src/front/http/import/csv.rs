//! Tables as spreadsheets write them (RFC 4180): a header line, comma or semicolon, quotes.

/// A table: its columns by name, and its lines.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<String>,
    rows: Vec<Row>,
}

/// The one column that may stand more than once.
const MANY: &str = "device";

/// A line that holds something.
#[derive(Debug)]
pub(super) struct Row {
    /// Where it begins in the file, from 1 on.
    pub(super) line: u64,
    cells: Vec<String>,
}

impl Table {
    /// Reads a table of at most `rows_max` lines. Columns are named by words of `known`, in any order and spelling (`Given name` is `given_name`).
    ///
    /// # Errors
    /// Line and reason.
    pub(super) fn read(text: &str, known: &[&str], rows_max: usize) -> Result<Self, (u64, String)> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let header = text.lines().next().unwrap_or_default();
        let separator = if header.matches(';').count() > header.matches(',').count() { ';' } else { ',' };
        let mut rows = rows(text, separator)?.into_iter();
        let first = rows.next().ok_or_else(|| (1, "the file is empty: its first line names the columns".to_owned()))?;
        let columns: Vec<String> = first.cells.iter().map(|cell| cell.trim().to_ascii_lowercase().replace(['-', ' '], "_")).collect();
        if let Some(odd) = columns.iter().find(|column| !known.contains(&column.as_str())) {
            return Err((first.line, format!("there is no column {odd:?}: they are {}", known.join(", "))));
        }
        let once = columns.iter().enumerate().filter(|(_, column)| *column != MANY);
        if let Some((_, twice)) = once.clone().find(|(at, column)| columns.iter().take(*at).any(|earlier| earlier == *column)) {
            return Err((first.line, format!("the column {twice:?} is there twice")));
        }
        let rows: Vec<Row> = rows.collect();
        if let Some(long) = rows.iter().find(|row| row.cells.len() > columns.len()) {
            return Err((long.line, format!("has {} columns, and the header {}", long.cells.len(), columns.len())));
        }
        if rows.len() > rows_max {
            return Err((0, format!("{} lines are too many at once: at most {rows_max}, so split the file", rows.len())));
        }
        Ok(Self { columns, rows })
    }

    /// The lines behind the header.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether there is a column of this name.
    pub(super) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|known| known == column)
    }

    /// What stands in the columns of this name, empty cells left out.
    pub(super) fn cells<'t>(&'t self, row: &'t Row, column: &'t str) -> impl Iterator<Item = &'t str> {
        let named = self.columns.iter().zip(&row.cells).filter(move |(known, _)| known.as_str() == column);
        named.map(|(_, cell)| cell.trim()).filter(|cell| !cell.is_empty())
    }

    /// What stands in the first of them.
    pub(super) fn cell<'t>(&'t self, row: &'t Row, column: &'t str) -> Option<&'t str> {
        self.cells(row, column).next()
    }
}

fn rows(text: &str, separator: char) -> Result<Vec<Row>, (u64, String)> {
    let mut rows = Vec::new();
    let mut row = Row { line: 1, cells: Vec::new() };
    let mut cell = String::new();
    let mut line = 1_u64;
    let mut quoted = None;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, quoted) {
            ('"', Some(_)) if letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            ('"', Some(_)) => quoted = None,
            ('"', None) if cell.trim().is_empty() => {
                cell.clear();
                quoted = Some(line);
            }
            ('\r', None) => {}
            ('\n', None) => {
                row.cells.push(std::mem::take(&mut cell));
                line = line.saturating_add(1);
                let done = std::mem::replace(&mut row, Row { line, cells: Vec::new() });
                rows.extend(Some(done).filter(Row::holds_something));
            }
            (found, None) if found == separator => row.cells.push(std::mem::take(&mut cell)),
            (found, _) => {
                line = line.saturating_add(u64::from(found == '\n'));
                cell.push(found);
            }
        }
    }
    if let Some(begun) = quoted {
        return Err((begun, "a quotation mark is not closed".to_owned()));
    }
    row.cells.push(cell);
    rows.extend(Some(row).filter(Row::holds_something));
    Ok(rows)
}

impl Row {
    fn holds_something(&self) -> bool {
        self.cells.iter().any(|cell| !cell.trim().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_writes_is_read() {
        let text = "\u{feff}Name;Given Name;notes\r\nann;\"A \"\"x\"\"; y\";\"two\nlines\"\r\n\r\nbob\r\n";
        let table = Table::read(text, &["name", "given_name", "notes"], 9).unwrap();
        let [ann, bob] = table.rows() else { panic!("{table:?}") };
        assert_eq!((table.cell(ann, "name"), table.cell(ann, "given_name"), table.cell(ann, "notes")), (Some("ann"), Some("A \"x\"; y"), Some("two\nlines")));
        assert_eq!((bob.line, table.cell(bob, "name"), table.cell(bob, "notes")), (5, Some("bob"), None));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let known = ["name", "mail"];
        assert_eq!(Table::read("name,phonne\nx,y", &known, 9).unwrap_err().0, 1);
        assert_eq!(Table::read("name\nx\ny,z\n", &known, 9).unwrap_err().0, 3);
        assert_eq!(Table::read("name,mail\nx,\"y\nz\n", &known, 9).unwrap_err().0, 2);
        assert!(Table::read("name,mail,Name\nx,y,z", &known, 9).unwrap_err().1.contains("\"name\" is there twice"));
        assert!(Table::read("name,device,device\nx,y,z", &["name", "device"], 9).is_ok());
        assert!(Table::read("", &known, 9).is_err());
        assert!(Table::read("name\na\nb\nc\n", &known, 2).unwrap_err().1.contains("too many"));
    }
}
