mod chunking;
mod conversations;
mod hostile;
mod loss;
mod tape;
