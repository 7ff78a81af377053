# Writes a history of 300 commits over 12 files for git fast-import.
function content(file, commit,    text, line) {
  for (line = 1; line <= 120; line++)
    text = text "line " line " of " file " at " (line % 30 == commit % 30 ? commit : int(commit / 30)) "\n"
  return text
}

BEGIN {
  for (commit = 1; commit <= 300; commit++) {
    message = "commit " commit "\n"
    print "commit refs/heads/main"
    print "author author <author@example.org> " 1500000000 + commit " +0000"
    print "committer committer <committer@example.org> " 1500000000 + commit " +0000"
    printf "data %d\n%s", length(message), message
    for (file = commit % 3 + 1; file <= 12; file += 3) {
      text = content(file, commit)
      printf "M 100644 inline file.%d\ndata %d\n%s\n", file, length(text), text
    }
    print ""
  }
}
