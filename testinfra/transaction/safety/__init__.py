"""What netkeel promises about going wrong: cut off hosts, guards, power cuts."""
