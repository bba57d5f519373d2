//! The `transship` program: words in, exit code out.

fn main() -> std::process::ExitCode {
    transship::cli::run()
}
