// Recursion without end. Where exactly it stops, and at which column, differs between V8's versions.
function f() { return f() + 1; }
try { f(); } catch (e) { console.log(e.name, e.message, e.stack.split('\n').length); }
