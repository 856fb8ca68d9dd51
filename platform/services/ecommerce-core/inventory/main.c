#include "inventory_service.h"

int main(int argc, char **argv)
{
    return bv_service_main(&inventory_spec, argc, argv);
}
