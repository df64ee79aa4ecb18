var x = 1;
  throw 5
