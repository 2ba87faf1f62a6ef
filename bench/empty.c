/* empty.c - a program that does nothing: what starting any process costs here. */
int
main(void)
{
    return 0;
}
