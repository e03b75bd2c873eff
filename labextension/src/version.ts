// The version of this front end, spelt as the server spells its own.

export const VERSION = '0.1.0';
