function f(){ throw new TypeError('boo'); }
f();
