//! Lab cloud: answers pushes, calls and passcodes as Duo does.
